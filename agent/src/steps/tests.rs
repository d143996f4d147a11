//! The steps against goldens and a loop device.
