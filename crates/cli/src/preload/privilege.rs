//! Would the kernel start this program in secure-execution mode (`AT_SECURE`)? The loader then ignores `LD_PRELOAD`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::fail::{Failure, Outcome};
use crate::sys::{self, Identity};

/// Mode bits.
const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
/// Without group execution the set-group-id bit means mandatory locking, not privilege.
const GROUP_EXECUTE: u32 = 0o010;

/// What a file asks the kernel for.
#[derive(Clone, Copy, Debug)]
struct Asks {
    uid: Option<u32>,
    gid: Option<u32>,
    capabilities: bool,
}

/// Refuses a program that would start in secure-execution mode; notes one that asks for it but does not get it.
pub fn check(path: &Path, identity: &Identity, notes: &mut Vec<String>) -> Outcome<()> {
    let Ok(meta) = path.metadata() else {
        return Ok(());
    };
    let mode = meta.mode();
    let asks = Asks {
        uid: (mode & SET_UID != 0).then(|| meta.uid()),
        gid: (mode & SET_GID != 0 && mode & GROUP_EXECUTE != 0).then(|| meta.gid()),
        capabilities: sys::has_capabilities(path),
    };
    let Some(kind) = asks.kind() else {
        return if Asks::NOTHING.is_secure(identity) {
            Err(Failure::cannot_run(
                "this command runs with another effective user or group than the real one: the loader then ignores LD_PRELOAD",
            ))
        } else {
            Ok(())
        };
    };
    let shown = path.display();
    let ignored = identity.no_new_privs || sys::on_nosuid_mount(path);
    let effective = if ignored { Asks::NOTHING } else { asks };
    if effective.is_secure(identity) {
        return Err(Failure::cannot_run(format!(
            "{shown} {kind}: the loader ignores LD_PRELOAD for it"
        )));
    }
    notes.push(if ignored {
        format!("{shown} {kind}, which has no effect here, so the library is active")
    } else {
        format!(
            "{shown} {kind}, but gives you nothing that you do not have, so the library is active"
        )
    });
    Ok(())
}

impl Asks {
    const NOTHING: Self = Self {
        uid: None,
        gid: None,
        capabilities: false,
    };

    /// What the file is, in words.
    fn kind(&self) -> Option<&'static str> {
        match self {
            Self { uid: Some(_), .. } => Some("is setuid"),
            Self { gid: Some(_), .. } => Some("is setgid"),
            Self {
                capabilities: true, ..
            } => Some("has file capabilities"),
            _ => None,
        }
    }

    /// The kernel's rule (`cap_bprm_creds_from_file`): effective and real ids differ after exec, or someone who is
    /// not root gains capabilities.
    fn is_secure(&self, who: &Identity) -> bool {
        self.uid.unwrap_or(who.euid) != who.uid
            || self.gid.unwrap_or(who.egid) != who.gid
            || (self.capabilities && who.uid != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Identity = Identity {
        uid: 1000,
        euid: 1000,
        gid: 1000,
        egid: 1000,
        no_new_privs: false,
    };
    const ROOT: Identity = Identity {
        uid: 0,
        euid: 0,
        gid: 0,
        egid: 0,
        no_new_privs: false,
    };

    #[test]
    fn the_kernels_rule() {
        let uid = |uid| Asks {
            uid: Some(uid),
            ..Asks::NOTHING
        };
        let gid = |gid| Asks {
            gid: Some(gid),
            ..Asks::NOTHING
        };
        let caps = Asks {
            capabilities: true,
            ..Asks::NOTHING
        };
        for (asks, who, secure) in [
            (Asks::NOTHING, USER, false),
            (Asks::NOTHING, Identity { euid: 0, ..USER }, true),
            (Asks::NOTHING, Identity { egid: 5, ..USER }, true),
            (uid(0), USER, true),
            (uid(1000), USER, false),
            (uid(1000), Identity { euid: 0, ..USER }, false),
            (uid(0), ROOT, false),
            (uid(1000), ROOT, true),
            (gid(0), USER, true),
            (gid(1000), USER, false),
            (caps, USER, true),
            (caps, ROOT, false),
        ] {
            assert_eq!(asks.is_secure(&who), secure, "{asks:?} {who:?}");
        }
    }
}
