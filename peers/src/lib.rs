//! Empty on purpose: this crate exists for the build scripts of its dependencies, whose C archives
//! the bench links into preloadable libraries. See `peers.toml`.
