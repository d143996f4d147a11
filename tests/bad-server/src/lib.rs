//! HTTP servers that misbehave as told, for the tests of whoever fetches.
