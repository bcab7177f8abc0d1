//! What the file system answered while a configuration was read: enough to read the same configuration again where there are no
//! files, and no more.

use crate::files::Files;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
enum Question {
    Read = 1,
    List,
    IsDir,
    Exists,
    Resolve,
}

impl Question {
    const ALL: [Self; 5] = [Self::Read, Self::List, Self::IsDir, Self::Exists, Self::Resolve];
}

/// Stands behind the last answer.
const END: u8 = 0;

/// What is answered, or the system's number for what is wrong.
type Answer = Result<Vec<u8>, i32>;

/// Answers by question and name.
#[derive(Debug, Default)]
pub struct Snapshot(HashMap<(Question, Vec<u8>), Answer>);

fn name(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn number(e: &io::Error) -> i32 {
    e.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error())
}

impl Snapshot {
    fn note(&mut self, question: Question, name: &[u8], answer: Answer) {
        self.0.insert((question, name.to_vec()), answer);
    }
    fn truth(&mut self, question: Question, path: &Path, is: bool) {
        self.note(question, name(path), if is { Ok(Vec::new()) } else { Err(0) });
    }
    pub(crate) fn saw_read(&mut self, path: &Path, content: &io::Result<Vec<u8>>) {
        self.note(Question::Read, name(path), content.as_ref().cloned().map_err(number));
    }
    pub(crate) fn saw_list(&mut self, path: &Path, all: &io::Result<Vec<PathBuf>>) {
        let joined = |all: &Vec<PathBuf>| all.iter().map(|p| name(p)).collect::<Vec<_>>().join(&0);
        self.note(Question::List, name(path), all.as_ref().map(joined).map_err(number));
    }
    pub(crate) fn saw_is_dir(&mut self, path: &Path, is: bool) {
        self.truth(Question::IsDir, path, is);
    }
    pub(crate) fn saw_exists(&mut self, path: &Path, is: bool) {
        self.truth(Question::Exists, path, is);
    }
    pub(crate) fn saw_resolve(&mut self, host: &str, address: Option<IpAddr>) {
        let text = address.map(|a| a.to_string().into_bytes()).ok_or(0);
        self.note(Question::Resolve, host.as_bytes(), text);
    }

    fn answer(&self, question: Question, name: &[u8]) -> io::Result<&Vec<u8>> {
        match self.0.get(&(question, name.to_vec())) {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(number)) => Err(io::Error::from_raw_os_error(*number)),
            None => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// Writes it as a stream of answers: question, length of the name (u32), name, error (i32), length (u64), bytes; little endian.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        for ((question, name), answer) in &self.0 {
            let (wrong, bytes) = match answer {
                Ok(bytes) => (None, bytes.as_slice()),
                Err(number) => (Some(*number), &[][..]),
            };
            to.write_all(&[*question as u8])?;
            to.write_all(&u32::try_from(name.len()).map_err(io::Error::other)?.to_le_bytes())?;
            to.write_all(name)?;
            to.write_all(&[u8::from(wrong.is_some())])?;
            to.write_all(&wrong.unwrap_or_default().to_le_bytes())?;
            to.write_all(&(bytes.len() as u64).to_le_bytes())?;
            to.write_all(bytes)?;
        }
        to.write_all(&[END])
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// The reader's; it ends too early, or is not that.
    pub fn from(stream: &mut dyn Read) -> io::Result<Self> {
        let mut all = Self::default();
        loop {
            let [question] = array(stream)?;
            if question == END {
                return Ok(all);
            }
            let question = Question::ALL.into_iter().find(|q| *q as u8 == question);
            let question = question.ok_or(io::ErrorKind::InvalidData)?;
            let length = u32::from_le_bytes(array(stream)?);
            let name = bytes(stream, length.into())?;
            let [wrong] = array(stream)?;
            let number = i32::from_le_bytes(array(stream)?);
            let length = u64::from_le_bytes(array(stream)?);
            let content = bytes(stream, length)?;
            all.0.insert((question, name), if wrong == 0 { Ok(content) } else { Err(number) });
        }
    }
}

fn array<const N: usize>(stream: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut all = [0; N];
    stream.read_exact(&mut all)?;
    Ok(all)
}

fn bytes(stream: &mut dyn Read, length: u64) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let got = stream.take(length).read_to_end(&mut all)?;
    if got as u64 == length { Ok(all) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What was not asked before is forbidden.
impl Files for Snapshot {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.answer(Question::Read, name(path)).cloned()
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let joined = self.answer(Question::List, name(path))?;
        let all = joined.split(|b| *b == 0).filter(|n| !n.is_empty());
        Ok(all.map(|n| PathBuf::from(OsStr::from_bytes(n))).collect())
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.answer(Question::IsDir, name(path)).is_ok()
    }
    fn exists(&self, path: &Path) -> bool {
        self.answer(Question::Exists, name(path)).is_ok()
    }
    fn resolve(&self, host: &str) -> Option<IpAddr> {
        let text = self.answer(Question::Resolve, host.as_bytes()).ok()?;
        std::str::from_utf8(text).ok()?.parse().ok()
    }
}
