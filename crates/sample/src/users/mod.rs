//! Userlists (manual section 12.2): who may come in, and to which groups they belong.

mod crypt;
mod rows;

pub use crypt::Crypt;
pub(crate) use rows::{KEYWORDS, check};

use portcullis_config::Place;
use std::sync::Arc;

/// Name of a group.
pub type Group = String;

/// How a password is kept.
#[derive(Debug)]
pub enum Password {
    /// None was given: nobody can log in.
    None,
    /// `insecure-password`
    Plain(Box<[u8]>),
    /// `password`: a hash of crypt(3).
    Crypt(Arc<Crypt>),
}

/// One user.
#[derive(Debug)]
pub struct User {
    /// Name.
    pub name: String,
    /// Password.
    pub password: Password,
    /// Groups, by name.
    pub groups: Vec<Group>,
}

/// A userlist.
#[derive(Debug)]
pub struct Userlist {
    /// Name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Its users.
    pub users: Vec<User>,
    /// Its groups.
    pub groups: Vec<Group>,
}

/// All userlists, kept with the model.
#[derive(Clone, Debug, Default)]
pub struct Userlists {
    /// Those that are complete, once everything was read.
    pub list: Vec<Arc<Userlist>>,
    drafts: Vec<rows::Draft>,
}

fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

impl Password {
    /// Is this the password? `None`: that is being found out ([`crate::work`]).
    #[must_use]
    pub fn is(&self, given: &[u8]) -> Option<bool> {
        match self {
            Self::None => Some(false),
            Self::Plain(plain) => Some(same(plain, given)),
            Self::Crypt(crypt) => crypt.is(given),
        }
    }
}

impl Userlist {
    /// The user of this name, if the password is right; `None`: that is being found out ([`crate::work`]).
    #[must_use]
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Option<&User>> {
        match self.users.iter().find(|u| u.name.as_bytes() == name) {
            Some(user) => Some(user.password.is(password)?.then_some(user)),
            None => Some(None),
        }
    }
    /// Are hashes of crypt(3) among the passwords?
    #[must_use]
    pub fn has_hashes(&self) -> bool {
        self.users.iter().any(|u| matches!(u.password, Password::Crypt(_)))
    }
}
