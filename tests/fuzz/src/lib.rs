//! Entry points that take any bytes, and the mutations that look for a bad end.
