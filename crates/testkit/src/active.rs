//! Proof that the library really served a program.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempPath;

/// Collects the lines that the library appends to its `stats_file` in every process it is loaded into.
#[derive(Debug)]
pub struct Active {
    file: TempPath,
}

impl Active {
    /// An empty file for one run.
    ///
    /// # Panics
    /// If the temporary folder cannot be written.
    pub fn new() -> Self {
        let file = tempfile::Builder::new()
            .prefix("aethalloc-active-")
            .tempfile()
            .unwrap_or_else(|error| panic!("no temporary file: {error}"));
        // Programs that change their user write to it too.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(file.path(), mode)
            .unwrap_or_else(|error| panic!("{}: {error}", file.path().display()));
        Self {
            file: file.into_temp_path(),
        }
    }

    /// Where the lines go.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// The value for `AETHALLOC_CONF`; further options may follow after a comma.
    pub fn conf(&self) -> String {
        format!("stats_file:{}", self.file.display())
    }

    /// Sets `AETHALLOC_CONF` of a command that has no other options.
    pub fn apply(&self, command: &mut Command) {
        command.env("AETHALLOC_CONF", self.conf());
    }

    /// Checks that at least one process ended with allocations served by the library, and that none ended without.
    /// Returns the ids of the processes that ended.
    ///
    /// # Panics
    /// If the file says otherwise.
    pub fn assert_active(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(&self.file)
            .unwrap_or_else(|error| panic!("{}: {error}", self.file.display()));
        exits(&text).unwrap_or_else(|reason| {
            panic!("the library was not active: {reason}; its stats_file holds:\n{text}")
        })
    }
}

impl Default for Active {
    fn default() -> Self {
        Self::new()
    }
}

/// The ids in the exit lines of `text`, all of which must count allocations.
fn exits(text: &str) -> Result<Vec<u32>, String> {
    let mut ids = Vec::new();
    for line in text.lines() {
        let event: Value =
            serde_json::from_str(line).map_err(|error| format!("{line:?} is no JSON: {error}"))?;
        let pid = event["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .ok_or_else(|| format!("no pid in {line:?}"))?;
        match event["event"].as_str() {
            Some("start" | "fork") => {}
            Some("exit") if event["allocations"].as_u64().is_some_and(|n| n > 0) => ids.push(pid),
            Some("exit") => return Err(format!("no allocations in {line:?}")),
            _ => return Err(format!("no known event in {line:?}")),
        }
    }
    if ids.is_empty() {
        return Err("no process wrote an exit line".to_owned());
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::exits;

    #[test]
    fn exit_lines_count() {
        let text = "{\"event\":\"start\",\"pid\":7,\"exe\":\"/bin/ls\"}\n\
                    {\"event\":\"exit\",\"pid\":7,\"exe\":\"/bin/ls\",\"allocations\":31}\n";
        assert_eq!(exits(text), Ok(vec![7]));
    }

    #[test]
    fn what_is_no_proof() {
        for text in [
            "",
            "{\"event\":\"start\",\"pid\":7}\n",
            "{\"event\":\"exit\",\"pid\":7,\"allocations\":0}\n",
            "{\"event\":\"exit\",\"allocations\":5}\n",
            "{\"event\":\"exit\",\"pid\":7,\"allocations\":5}\nnot json\n",
        ] {
            assert!(exits(text).is_err(), "{text:?} taken as a proof");
        }
    }
}
