//! What higher rooms keep with a section: one value a type, cloned with the section (`defaults` are inherited so).

use std::any::Any;

trait Value: Any + Send + Sync {
    fn copy(&self) -> Box<dyn Value>;
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
}

impl<T: Clone + Any + Send + Sync> Value for T {
    fn copy(&self) -> Box<dyn Value> {
        Box::new(self.clone())
    }
    fn any(&self) -> &dyn Any {
        self
    }
    fn any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// At most one value of each type; there are few.
#[derive(Default)]
pub struct Extensions(Vec<Box<dyn Value>>);

impl Clone for Extensions {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(|v| (**v).copy()).collect())
    }
}

impl std::fmt::Debug for Extensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Extensions({})", self.0.len())
    }
}

impl Extensions {
    /// The value of this type, if something put one there.
    pub fn get<T: Clone + Any + Send + Sync>(&self) -> Option<&T> {
        self.0.iter().find_map(|v| (**v).any().downcast_ref())
    }
    /// The value of this type, made on first use.
    pub fn entry<T: Clone + Default + Any + Send + Sync>(&mut self) -> &mut T {
        let at = self.0.iter().position(|v| (**v).any().is::<T>()).unwrap_or_else(|| {
            self.0.push(Box::new(T::default()));
            self.0.len() - 1
        });
        match self.0.get_mut(at).and_then(|v| (**v).any_mut().downcast_mut()) {
            Some(v) => v,
            None => unreachable!("it was found by its type, or has just been made"),
        }
    }
    /// Takes the value of this type out.
    pub fn remove<T: Clone + Any + Send + Sync>(&mut self) {
        self.0.retain(|v| !(**v).any().is::<T>());
    }
}
