//! What a [`crate::Store`] needs of a file system: a few small files, segments, and what it means that something is
//! durable.
//!
//! Two implement it: a real directory in the process of a node, and memory in the simulator and in this crate's tests.
//! A loss of power may take whatever is not said to be durable here, and nothing else; what it may leave of a write is
//! said in the header of the crate.
//!
//! Absent on purpose: reading a part of a segment, cutting files, and removing a small file. The store does none of it.

/// A place for the files of one store, held by that store alone.
pub trait Files {
    /// Why an operation failed. After the first failure the store touches the files no more.
    type Error: std::error::Error;

    /// The contents of the small file `name`; `None` if there is none. Never a mixture of two versions.
    ///
    /// # Errors
    /// The file may be there, but cannot be read.
    fn load(&mut self, name: &str) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Makes `contents` those of the small file `name`, which it makes where there is none. When it returns, this is
    /// durable; a loss of power before leaves the old version or the new one, whole. Also makes durable every
    /// [`Files::release`] before it.
    ///
    /// # Errors
    /// Either version may be there.
    fn replace(&mut self, name: &str, contents: &[u8]) -> Result<(), Self::Error>;

    /// The generations of all segments, in ascending order.
    ///
    /// # Errors
    /// They cannot be listed.
    fn segments(&mut self) -> Result<Vec<u64>, Self::Error>;

    /// All bytes of a segment.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&mut self, generation: u64) -> Result<Vec<u8>, Self::Error>;

    /// Makes a segment of `length_bytes`, a multiple of the sector, under a generation above all that there ever were.
    /// It is filled with zeros or with the remains of a released segment. When it returns, this is durable: name,
    /// length and filling; a loss of power before leaves all of it or no segment. Also makes durable every
    /// [`Files::release`] before it.
    ///
    /// # Errors
    /// The segment may be there, whole.
    fn create(&mut self, generation: u64, length_bytes: u64) -> Result<(), Self::Error>;

    /// Writes into a segment, at a multiple of the sector and not beyond the end. Not durable: until it is synced, a
    /// loss of power leaves each of its sectors as it was or as it is written, in any combination.
    ///
    /// # Errors
    /// Any sector of it may be written.
    fn write(
        &mut self,
        generation: u64,
        offset_bytes: u64,
        bytes: &[u8],
    ) -> Result<(), Self::Error>;

    /// Makes durable what was written into a segment, since the segment was made or the files were opened.
    ///
    /// # Errors
    /// Nothing is known of what was written since the last sync, and a later sync that succeeds does not make it
    /// durable, though it may read as written until the power is lost.
    fn sync(&mut self, generation: u64) -> Result<(), Self::Error>;

    /// Lets a segment go, which is no longer listed then. Not durable: after a loss of power it may be there again, as
    /// it was, whatever became of others that were let go before or after it.
    ///
    /// # Errors
    /// It may be there or not.
    fn release(&mut self, generation: u64) -> Result<(), Self::Error>;
}

/// Files that are lent: their owner has them back when the store is gone, also where it did not open.
impl<F: Files> Files for &mut F {
    type Error = F::Error;

    fn load(&mut self, name: &str) -> Result<Option<Vec<u8>>, F::Error> {
        (**self).load(name)
    }

    fn replace(&mut self, name: &str, contents: &[u8]) -> Result<(), F::Error> {
        (**self).replace(name, contents)
    }

    fn segments(&mut self) -> Result<Vec<u64>, F::Error> {
        (**self).segments()
    }

    fn read(&mut self, generation: u64) -> Result<Vec<u8>, F::Error> {
        (**self).read(generation)
    }

    fn create(&mut self, generation: u64, length_bytes: u64) -> Result<(), F::Error> {
        (**self).create(generation, length_bytes)
    }

    fn write(&mut self, generation: u64, offset_bytes: u64, bytes: &[u8]) -> Result<(), F::Error> {
        (**self).write(generation, offset_bytes, bytes)
    }

    fn sync(&mut self, generation: u64) -> Result<(), F::Error> {
        (**self).sync(generation)
    }

    fn release(&mut self, generation: u64) -> Result<(), F::Error> {
        (**self).release(generation)
    }
}
