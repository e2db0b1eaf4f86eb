//! `shmq create` and `shmq rm`.

use crate::args::{CreateArgs, RmArgs};
use crate::attach::{patiently, quoted};
use crate::shape::Queue;
use shmq::{AttachError, CreateError, Inspector, Kind, OpenError, Options};
use shmq_pool::Pool;
use shmq_tool::failure::Failure;
use shmq_tool::units::shown;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;

pub fn create(args: &CreateArgs) -> Result<(), Failure> {
    match Queue::create(&args.name, &args.options) {
        // What is no queue is not to be removed by the way.
        Err(CreateError::AlreadyExists { path })
            if matches!(Inspector::open_damaged(&args.name), Err(OpenError::NotAQueue { .. })) =>
        {
            Err(Failure::new(format!("{} exists already and is no queue; name another", shown(path))))
        }
        made => made.map(drop).map_err(Failure::from),
    }
}

pub fn remove(args: &RmArgs) -> Result<(), Failure> {
    // All that can be removed are, before the first failure is reported.
    let failures: Vec<_> = args
        .names
        .iter()
        .filter_map(|name| remove_one(name, args.force).err().map(|failure| failure.of(name)))
        .collect();
    failures.into_iter().reduce(join).map_or(Ok(()), Err)
}

fn join(first: Failure, second: Failure) -> Failure {
    match (first, second) {
        (Failure::Said(code, a), Failure::Said(_, b)) => Failure::Said(code, format!("{a}\nshmq: {b}")),
        (first, _) => first,
    }
}

fn remove_one(name: &OsStr, force: bool) -> Result<(), Failure> {
    if force {
        return remove_by_force(name);
    }
    let removed = patiently(|| match Queue::open(name, &Options::new()) {
        Ok(queue) => queue.remove().map(|()| None),
        Err(OpenError::WrongKind { found: Kind::Pool, .. }) => match Pool::open(name) {
            Ok(pool) => pool.remove().map(|()| None),
            Err(error) => Ok(Some(error)),
        },
        Err(error) => Ok(Some(error)),
    });
    match removed {
        Ok(None) => Ok(()),
        Ok(Some(OpenError::WrongKind { found: Kind::Raw, .. })) => Err(Failure::new(format!(
            "{0} is raw memory, which has no ends that would tell whether anybody uses it; \
             `shmq rm --force {0}` removes it",
            quoted(name)
        ))),
        Ok(Some(OpenError::NotFound { path })) => {
            Err(Failure::new(format!("there is no queue at {}; nothing to remove", shown(path))))
        }
        Ok(Some(
            error @ (OpenError::Truncated { .. }
            | OpenError::Older { .. }
            | OpenError::Newer { .. }
            | OpenError::WrongKind { .. }),
        )) => Err(with_hint(error.into(), &format!("`shmq rm --force {}` removes it", quoted(name)))),
        Ok(Some(error @ OpenError::NotAQueue { .. })) if Inspector::open_damaged(name).is_ok() => {
            Err(with_hint(error.into(), &format!("`shmq rm --force {}` removes it", quoted(name))))
        }
        Ok(Some(error)) => Err(error.into()),
        Err(error @ AttachError::Busy { .. }) => Err(with_hint(
            error.into(),
            &format!("or `shmq rm --force {}` to cut both ends off", quoted(name)),
        )),
        // Someone else removed it in between, which is what was wanted.
        Err(AttachError::Removed { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn with_hint(failure: Failure, hint: &str) -> Failure {
    match failure {
        Failure::Said(code, text) => Failure::Said(code, format!("{text}; {hint}")),
        signal => signal,
    }
}

/// Removes the name whoever holds an end. Anything that does not even look like a queue is left alone: also what took the
/// name while it was looked at. (The kernel removes names and not files, so that what takes it just now goes as well.)
fn remove_by_force(name: &OsStr) -> Result<(), Failure> {
    let Some(path) = shmq::path_of(name) else {
        return Err(OpenError::Name { name: name.to_string_lossy().into() }.into());
    };
    let identity = || std::fs::symlink_metadata(&path).map(|file| (file.dev(), file.ino())).ok();
    let before = identity();
    match Queue::open(name, &Options::new()) {
        Ok(_) => {}
        Err(OpenError::NotFound { .. }) => return Ok(()),
        Err(
            OpenError::Truncated { .. }
            | OpenError::Older { .. }
            | OpenError::Newer { .. }
            | OpenError::WrongKind { .. },
        ) => {}
        // Its first page is damaged, and enough of it is left to tell what it was.
        Err(OpenError::NotAQueue { .. }) if Inspector::open_damaged(name).is_ok() => {}
        Err(error @ OpenError::NotAQueue { .. }) => {
            return Err(with_hint(error.into(), "if it is the right one, remove it with rm"));
        }
        Err(error) => return Err(error.into()),
    }
    if identity() != before {
        return Err(Failure::new(format!("{} was replaced meanwhile; look again", shown(path))));
    }
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io(format_args!("remove {}", shown(&path)), &error))
        }
        _ => Ok(()),
    }
}
