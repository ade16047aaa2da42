package atomicfile

// SyncDir does nothing: Windows cannot flush a directory, and journals renames
// itself.
func SyncDir(string) error { return nil }
