// Exists to carry the precompiled header that the libtorch tests share.
