//! A crash at every call of the storage, several images of each, recovery checked, and on again.
