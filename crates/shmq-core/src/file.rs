//! A queue file that is open, whatever its shape, and the way to its two roles.

use crate::corruption::Corruption;
use crate::end::End;
use crate::error::{AttachError, CreateError, Error, OpenError, doing};
use crate::geometry::{Geometry, Options};
use crate::inspect::Inspector;
use crate::layout::{Kind, Role, TAG};
use crate::observe;
use crate::role::{RoleGuard, Source, lock_both};
use crate::segment::{self, FileId};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The part of a queue that all shapes share.
#[derive(Debug)]
pub struct QueueFile {
    /// The open file.
    pub file: File,
    /// Its name, if it has one.
    pub path: Option<PathBuf>,
    /// What its geometry page says.
    pub geometry: Geometry,
    /// Which file it was when it was opened.
    pub id: FileId,
    options: Options,
}

impl QueueFile {
    /// Makes it, whole or not at all.
    pub fn create(name: &OsStr, geometry: Geometry, options: &Options) -> Result<Self, CreateError> {
        let path = segment::path_of(name)
            .ok_or_else(|| CreateError::Name { name: name.to_string_lossy().into() })?;
        let path = segment::absolute(path);
        let (file, (geometry, id)) = segment::create(&path, geometry, options)?;
        observe::created(Some(&path), geometry.kind, geometry.length);
        Ok(Self { file, path: Some(path), geometry, id, options: options.clone() })
    }

    /// Opens it for both ways, if it is of this kind and has the options' tag.
    pub fn open(name: &OsStr, kind: Kind, options: &Options) -> Result<Self, OpenError> {
        let path =
            segment::path_of(name).ok_or_else(|| OpenError::Name { name: name.to_string_lossy().into() })?;
        Self::open_path(path, true, kind, options)
    }

    /// Opens the file for looking only.
    pub fn open_to_read(name: &OsStr, kind: Kind, options: &Options) -> Result<Self, OpenError> {
        let path =
            segment::path_of(name).ok_or_else(|| OpenError::Name { name: name.to_string_lossy().into() })?;
        Self::open_path(path, false, kind, options)
    }

    fn open_path(path: PathBuf, write: bool, kind: Kind, options: &Options) -> Result<Self, OpenError> {
        let path = segment::absolute(path);
        let (file, geometry) = segment::open(&path, write)?;
        Self::checked(file, Some(path), geometry, kind, options)
    }

    /// A sealed file without a name.
    pub fn anonymous(geometry: Geometry, options: &Options) -> Result<Self, CreateError> {
        let (file, (geometry, id)) = segment::create_anonymous(geometry, options)?;
        observe::created(None, geometry.kind, geometry.length);
        Ok(Self { file, path: None, geometry, id, options: options.clone() })
    }

    /// What [`QueueFile::anonymous`] made, by its descriptor.
    pub fn from_fd(fd: OwnedFd, kind: Kind, options: &Options) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { doing: "ask for the seals of the descriptor".into(), source };
        if !segment::is_sealed(fd.as_fd()).map_err(failed)? {
            return Err(OpenError::NotSealed);
        }
        let file = File::from(fd);
        let geometry = segment::geometry_of(&file, None)?;
        if segment::is_of_huge_pages(&file) && !options.huge_pages {
            let why = "the descriptor's memory are huge pages, which whoever has it can take away at any time (SIGBUS); \
                       ask for them with `Options::huge_pages` if you trust its other holders";
            return Err(OpenError::Options { path: None, why: why.into() });
        }
        Self::checked(file, None, geometry, kind, options)
    }

    fn checked(
        file: File,
        path: Option<PathBuf>,
        geometry: Geometry,
        kind: Kind,
        options: &Options,
    ) -> Result<Self, OpenError> {
        if options.tag != [0; TAG] && options.tag != geometry.tag {
            return Err(OpenError::Tag { path, found: geometry.tag_text() });
        }
        if geometry.kind != kind {
            return Err(OpenError::WrongKind { path, expected: kind, found: geometry.kind });
        }
        let failed = |source| OpenError::Io { doing: doing("look at", path.as_deref()), source };
        let id = FileId::of(&file).map_err(failed)?;
        Ok(Self { file, path, geometry, id, options: options.clone() })
    }

    /// Opens the file, or makes it if there is none; whoever comes first makes it, the other opens it.
    pub fn open_or_create<Q>(
        open: impl Fn() -> Result<Q, OpenError>,
        create: impl Fn() -> Result<Q, CreateError>,
    ) -> Result<Q, Error> {
        // Each failure means that someone else removed or made it in between; nobody does that for ever.
        for _ in 0..100 {
            match open() {
                Err(OpenError::NotFound { .. }) => {}
                done => return Ok(done?),
            }
            match create() {
                Err(CreateError::AlreadyExists { .. }) => {}
                done => return Ok(done?),
            }
        }
        Ok(open()?)
    }

    /// Takes a role.
    pub fn take_role(&self, role: Role) -> Result<RoleGuard, AttachError> {
        let Self { file, path, geometry, id, options } = self;
        RoleGuard::take(&Source { file, id: *id, path: path.as_deref(), geometry, options }, role)
    }

    /// Takes a role, and what of the ring belongs to it. An end that `is_closed` is refused: its data has ended.
    pub fn attach<R>(
        &self,
        role: Role,
        attach: impl FnOnce(&RoleGuard) -> Result<R, Corruption>,
        is_closed: impl FnOnce(&R) -> bool,
    ) -> Result<End<R>, AttachError> {
        let mut guard = self.take_role(role)?;
        let ring = attach(&guard).map_err(|what| guard.refuse(what))?;
        if is_closed(&ring) {
            return Err(guard.finished());
        }
        guard.enter()?;
        Ok(End::new(ring, guard, self.geometry.limits))
    }

    /// Looks at it.
    pub fn inspect(&self) -> Result<Inspector, OpenError> {
        Inspector::of(&self.file, self.id, self.path.as_deref(), self.geometry)
    }

    /// Bytes of a page of its memory.
    pub fn page_size(&self) -> u64 {
        segment::page_size(&self.file)
    }

    /// Its name, if it has one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What it was opened with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Takes back what was just made, because it is of no use to its maker after all.
    pub fn unmake(&self) {
        if let Some(path) = &self.path {
            if FileId::at(path).is_ok_and(|now| now == Some(self.id)) {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Removes the file, after taking both roles so that nobody is cut off. Raw memory has none; who has it mapped
    /// keeps it.
    pub fn remove(&self) -> Result<(), AttachError> {
        let Some(path) = &self.path else { return Ok(()) };
        let failed = |what| move |source| AttachError::Io { doing: doing(what, Some(path)), source };
        let own = segment::reopen(&self.file, self.id, Some(path), true).map_err(failed("open again"))?;
        if self.geometry.kind != Kind::Raw {
            if let Some(role) =
                lock_both(own.as_fd(), &self.geometry).map_err(failed("lock both roles of"))?
            {
                // The other one is free again.
                drop(own);
                let pid = self.inspect().map_or(0, |i| i.snapshot().end(role).pid);
                return Err(AttachError::Busy { path: Some(path.clone()), role, pid });
            }
        }
        if FileId::at(path).map_err(failed("look at"))? != Some(self.id) {
            return Err(AttachError::Removed { path: Some(path.clone()) });
        }
        std::fs::remove_file(path).map_err(failed("remove"))
    }
}
