//! What may happen to an answer between the portal and the collector. Each makes another answer; none is a valid one of
//! the portal's unless it says so.

use super::{Answer, archive};

impl Answer {
    /// The files for devices in it, by their own names, in their order; of a file alone, itself.
    pub fn files(&self) -> Vec<Answer> {
        match self.members() {
            None => vec![self.clone()],
            Some(members) => members.iter().flat_map(Answer::files).collect(),
        }
    }

    /// The archives within an archive, such as the `ACK_UD_VA_*.tar.gz`; all are valid answers.
    pub fn archives(&self) -> Vec<Answer> {
        let members = self.members().unwrap_or_default();
        members.into_iter().filter(|member| member.members().is_some()).collect()
    }

    /// Somebody thought of a better name.
    pub fn renamed(&self, name: &str) -> Answer {
        Answer { name: name.to_string(), bytes: self.bytes.clone() }
    }

    /// So many fiftieths of it arrived.
    pub fn cut(&self, fiftieths: usize) -> Answer {
        Answer { name: self.name.clone(), bytes: self.bytes[..self.bytes.len() * fiftieths / 50].to_vec() }
    }

    /// Without the file of this name: the answer leaves a device out.
    pub fn without(&self, file: &str) -> Answer {
        self.altered(&|one| (one.name != file).then(|| one.clone()))
    }

    /// Two files have each other's content: each is the answer for another device.
    pub fn exchanged(&self, one: &str, other: &str) -> Answer {
        let files = self.files();
        let bytes = |name: &str| files.iter().find(|file| file.name == name).map(|file| file.bytes.clone());
        self.altered(&|file| {
            let from = match file.name.as_str() {
                name if name == one => other,
                name if name == other => one,
                _ => return Some(file.clone()),
            };
            Some(Answer { name: file.name.clone(), bytes: bytes(from).unwrap_or_default() })
        })
    }

    /// The sign-in page that a browser saved in its stead.
    pub fn sign_in_page(&self) -> Answer {
        let page =
            "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Your session has ended.</body></html>";
        Answer { name: self.name.clone(), bytes: page.as_bytes().to_vec() }
    }

    /// Several answers in one tar.gz, as a courier packs them.
    pub fn packed(name: &str, answers: &[Answer]) -> Answer {
        let members: Vec<_> = answers.iter().map(|answer| (answer.name.clone(), answer.bytes.clone())).collect();
        Answer { name: name.to_string(), bytes: archive::write(&members) }
    }

    /// The same in a zip.
    pub fn zipped(name: &str, answers: &[Answer]) -> Answer {
        let members: Vec<_> = answers.iter().map(|answer| (answer.name.clone(), answer.bytes.clone())).collect();
        Answer { name: name.to_string(), bytes: archive::zip(&members) }
    }

    fn members(&self) -> Option<Vec<Answer>> {
        let members = archive::read(&self.name, &self.bytes).ok()?;
        Some(members.into_iter().map(|(name, bytes)| Answer { name, bytes }).collect())
    }

    fn altered(&self, alter: &dyn Fn(&Answer) -> Option<Answer>) -> Answer {
        let Some(members) = self.members() else { return self.clone() };
        let altered: Vec<Answer> = members
            .iter()
            .filter_map(|member| if member.members().is_some() { Some(member.altered(alter)) } else { alter(member) })
            .collect();
        Answer::packed(&self.name, &altered)
    }
}
