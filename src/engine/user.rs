//! Who the process runs as: docker's `-u` grammar, looked up in the image's own passwd and group.
//!
//! Invariant: pure functions over text; a line that is malformed names nobody (never root).

use std::str::FromStr;

use crate::model::class::{Class, Explain};

/// The largest uid and gid, the limit of docker and runc.
const MAX_ID: u32 = i32::MAX as u32;

/// The ids that a process runs with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The primary group id.
    pub gid: u32,
    /// The supplementary groups; the primary one leads them.
    pub additional_gids: Vec<u32>,
}

/// A user as asked for: `[name|uid][:group|gid]`; empty means root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserRef {
    user: Option<Principal>,
    group: Option<Principal>,
    /// Further groups (`--group-add`).
    further: Vec<Principal>,
}

/// One side of a [`UserRef`].
#[derive(Debug, Clone, PartialEq, Eq)]
enum Principal {
    Id(u32),
    Name(String),
}

/// Why there is no such user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Not of the form `USER[:GROUP]`.
    #[error("user \"{given}\" is not of the form USER[:GROUP]")]
    Form {
        /// The whole argument.
        given: String,
    },
    /// A number that no id can have.
    #[error("id {id} is not between 0 and {MAX_ID}")]
    Range {
        /// The number as given.
        id: String,
    },
    /// The image's passwd has no such name.
    #[error("user \"{user}\" is not in the image's /etc/passwd")]
    UnknownUser {
        /// The name.
        user: String,
    },
    /// The image's group file has no such name.
    #[error("group \"{group}\" is not in the image's /etc/group")]
    UnknownGroup {
        /// The name.
        group: String,
    },
}

impl Explain for UserError {
    fn class(&self) -> Class {
        Class::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownUser { .. } => Some("give it as numbers: -u UID:GID".to_owned()),
            Self::UnknownGroup { .. } => {
                Some("give it as a number: -u UID:GID, --group-add GID".to_owned())
            }
            Self::Form { .. } | Self::Range { .. } => None,
        }
    }
}

impl FromStr for UserRef {
    type Err = UserError;

    fn from_str(given: &str) -> Result<Self, UserError> {
        let (user, group) = given.split_once(':').unwrap_or((given, ""));
        if group.contains(':') {
            return Err(UserError::Form {
                given: given.to_owned(),
            });
        }
        Ok(Self {
            user: Principal::parse(user)?,
            group: Principal::parse(group)?,
            further: Vec::new(),
        })
    }
}

impl Principal {
    /// Digits are an id, as in docker, even where a passwd has a name of digits.
    fn parse(text: &str) -> Result<Option<Self>, UserError> {
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Some(Self::Name(text.to_owned())));
        }
        match text.parse() {
            Ok(id) if id <= MAX_ID => Ok(Some(Self::Id(id))),
            _ => Err(UserError::Range {
                id: text.to_owned(),
            }),
        }
    }

    fn id(&self) -> Option<u32> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Name(_) => None,
        }
    }
}

impl UserRef {
    /// The same user in further groups, by names or numbers.
    ///
    /// # Errors
    /// An empty name, or a number that no group has.
    pub fn with_groups(mut self, groups: &[String]) -> Result<Self, UserError> {
        for group in groups {
            let parsed = Principal::parse(group)?;
            let form = || UserError::UnknownGroup {
                group: group.clone(),
            };
            self.further.push(parsed.ok_or_else(form)?);
        }
        Ok(self)
    }

    /// The user where nothing in the image can change it: only `uid:gid` says everything.
    pub fn exact(&self) -> Option<User> {
        let (Some(Principal::Id(uid)), Some(Principal::Id(gid))) = (&self.user, &self.group) else {
            return None;
        };
        let further: Option<Vec<u32>> = self.further.iter().map(Principal::id).collect();
        let mut additional_gids = vec![*gid];
        add_new(&mut additional_gids, further?);
        Some(User {
            uid: *uid,
            gid: *gid,
            additional_gids,
        })
    }

    /// The best that can be said before the image is there: numbers as given, else 0. Good for a
    /// spec that has to be valid but is replaced before anything runs.
    pub fn provisional(&self) -> User {
        let id = |side: &Option<Principal>| side.as_ref().and_then(Principal::id).unwrap_or(0);
        let gid = id(&self.group);
        User {
            uid: id(&self.user),
            gid,
            additional_gids: vec![gid],
        }
    }

    /// The user by the image's passwd and group texts; an image without these files has empty ones.
    ///
    /// As in docker: without a group the user has its passwd's group and those that list it (also
    /// root, and also a uid that has a name); an explicit group is the only one; a number needs
    /// no entry.
    ///
    /// # Errors
    /// A name that the files do not have.
    pub fn lookup(&self, passwd: &str, group: &str) -> Result<User, UserError> {
        let entry = match &self.user {
            None => find_user(passwd, |entry| entry.uid == 0),
            Some(Principal::Id(uid)) => find_user(passwd, |entry| entry.uid == *uid),
            Some(Principal::Name(name)) => Some(
                find_user(passwd, |entry| entry.name == name)
                    .ok_or_else(|| UserError::UnknownUser { user: name.clone() })?,
            ),
        };
        let given = self.user.as_ref().and_then(Principal::id).unwrap_or(0);
        let uid = entry.as_ref().map_or(given, |entry| entry.uid);
        let listed = match (&self.group, &entry) {
            (None, Some(entry)) => groups_of(group, entry.name),
            _ => Vec::new(),
        };
        let gid = match &self.group {
            None => entry.as_ref().map_or(0, |entry| entry.gid),
            Some(Principal::Id(gid)) => *gid,
            Some(Principal::Name(name)) => gid_of(group, name)?,
        };
        let mut additional_gids = vec![gid];
        add_new(&mut additional_gids, listed);
        for further in &self.further {
            let gid = match further {
                Principal::Id(gid) => *gid,
                Principal::Name(name) => gid_of(group, name)?,
            };
            add_new(&mut additional_gids, [gid]);
        }
        Ok(User {
            uid,
            gid,
            additional_gids,
        })
    }
}

fn gid_of(group: &str, name: &str) -> Result<u32, UserError> {
    let entry = groups(group).find(|entry| entry.name == name);
    let unknown = || UserError::UnknownGroup {
        group: name.to_owned(),
    };
    entry.map(|entry| entry.gid).ok_or_else(unknown)
}

fn add_new(gids: &mut Vec<u32>, further: impl IntoIterator<Item = u32>) {
    for gid in further {
        if !gids.contains(&gid) {
            gids.push(gid);
        }
    }
}

/// What matters of a passwd line (passwd(5)).
struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

/// What matters of a group line (group(5)).
struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn find_user<'a>(
    passwd: &'a str,
    wanted: impl Fn(&PasswdEntry<'a>) -> bool,
) -> Option<PasswdEntry<'a>> {
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            Some(PasswdEntry {
                name: fields.next()?,
                uid: fields.nth(1)?.parse().ok()?,
                gid: fields.next()?.parse().ok()?,
            })
        })
        .find(wanted)
}

fn groups(group: &str) -> impl Iterator<Item = GroupEntry<'_>> {
    group.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        Some(GroupEntry {
            name: fields.next()?,
            gid: fields.nth(1)?.parse().ok()?,
            members: fields.next().unwrap_or_default(),
        })
    })
}

fn groups_of(group: &str, user: &str) -> Vec<u32> {
    groups(group)
        .filter(|entry| entry.members.split(',').any(|member| member == user))
        .map(|entry| entry.gid)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_groups_are_added_by_name_or_number() {
        let groups = ["wheel".to_owned(), "7".to_owned(), "0".to_owned()];
        let user: UserRef = "0:0".parse().unwrap();
        let user = user.with_groups(&groups).unwrap();
        assert_eq!(user.exact(), None);
        let found = user.lookup("", "wheel:x:10:\n").unwrap();
        assert_eq!(found.additional_gids, [0, 10, 7]);
        assert!(user.lookup("", "").is_err());
        let numbers: UserRef = "5:6".parse().unwrap();
        let numbers = numbers.with_groups(&groups[1..]).unwrap();
        assert_eq!(numbers.exact().unwrap().additional_gids, [6, 7, 0]);
        assert!(UserRef::default().with_groups(&[String::new()]).is_err());
    }

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        broken\n\
        evil:x::5:no uid:/:/bin/sh\n\
        app:x:1000:1001:App:/home/app:/bin/sh\n\
        app:x:7:7:second:/:/bin/sh\n\
        42:x:4242:4242::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:root\n\
        adm:x:4:root,app\n\
        apps:x:1001:\n\
        broken:x:zero:app\n\
        short:x:6\n\
        video:x:27:application,app\n";

    fn lookup(text: &str) -> (u32, u32, Vec<u32>) {
        let user = text
            .parse::<UserRef>()
            .unwrap()
            .lookup(PASSWD, GROUP)
            .unwrap();
        (user.uid, user.gid, user.additional_gids)
    }

    #[test]
    fn dockers_grammar_and_its_groups() {
        for (given, expected) in [
            ("", (0, 0, vec![0, 4])),
            ("root", (0, 0, vec![0, 4])),
            ("0", (0, 0, vec![0, 4])),
            ("app", (1000, 1001, vec![1001, 4, 27])),
            ("app:", (1000, 1001, vec![1001, 4, 27])),
            ("1000", (1000, 1001, vec![1001, 4, 27])),
            ("1000:1001", (1000, 1001, vec![1001])),
            ("app:adm", (1000, 4, vec![4])),
            ("app:999", (1000, 999, vec![999])),
            ("app:short", (1000, 6, vec![6])),
            ("1234", (1234, 0, vec![0])),
            ("1234:video", (1234, 27, vec![27])),
            (":adm", (0, 4, vec![4])),
            ("42", (42, 0, vec![0])),
        ] {
            assert_eq!(lookup(given), expected, "{given}");
        }
    }

    #[test]
    fn an_image_without_passwd_knows_numbers_only() {
        let lookup = |text: &str| text.parse::<UserRef>().unwrap().lookup("", "");
        assert_eq!(lookup("5:6").unwrap().additional_gids, [6]);
        assert_eq!(lookup("").unwrap().uid, 0);
        let error = lookup("app").unwrap_err();
        assert_eq!(
            error.to_string(),
            "user \"app\" is not in the image's /etc/passwd"
        );
        assert_eq!(error.hint().unwrap(), "give it as numbers: -u UID:GID");
    }

    #[test]
    fn a_malformed_line_names_nobody() {
        for unknown in ["broken", "evil"] {
            let asked: UserRef = unknown.parse().unwrap();
            assert!(asked.lookup(PASSWD, GROUP).is_err(), "{unknown}");
        }
        let asked: UserRef = "app:broken".parse().unwrap();
        assert!(matches!(
            asked.lookup(PASSWD, GROUP),
            Err(UserError::UnknownGroup { .. })
        ));
    }

    #[test]
    fn malformed_arguments_are_refused() {
        for bad in ["a:b:c", "::", "2147483648", "0:99999999999"] {
            assert!(bad.parse::<UserRef>().is_err(), "{bad}");
        }
        assert!("2147483647:2147483647".parse::<UserRef>().is_ok());
    }

    #[test]
    fn only_two_numbers_need_no_lookup() {
        let exact = |text: &str| text.parse::<UserRef>().unwrap().exact();
        assert_eq!(exact("5:6").unwrap().gid, 6);
        for open in ["", "5", "app", "app:6", "5:adm", ":6"] {
            assert_eq!(exact(open), None, "{open}");
        }
        let provisional = "5:adm".parse::<UserRef>().unwrap().provisional();
        assert_eq!((provisional.uid, provisional.gid), (5, 0));
    }
}
