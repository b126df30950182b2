//! Files of one test, shared by the tests about configurations; each uses its part.
#![allow(dead_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A directory that is gone at the end of the test. `DIR` stands for it in texts.
pub struct Files(pub PathBuf);

impl Files {
    pub fn new(test: &str) -> Files {
        let path = std::env::temp_dir().join(format!("rwsgi-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Files(path)
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, self.long(text)).unwrap();
        path.to_string_lossy().into_owned()
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    pub fn long(&self, text: &str) -> String {
        text.replace("DIR", &self.0.to_string_lossy())
    }

    pub fn short(&self, text: &impl ToString) -> String {
        text.to_string().replace(&*self.0.to_string_lossy(), "DIR")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
