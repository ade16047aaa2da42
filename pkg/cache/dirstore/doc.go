// Package dirstore answers for the names in directories, so that a store is
// listed once for everybody.
//
// # What it promises
//
//   - A name is absent only when the store said so: a complete listing without
//     it, or a 404 together with an empty listing below it. Any other failure
//     is an error and changes nothing that is known. A listing that failed
//     midway leaves no trace.
//   - A directory is listed by one flight however many ask, and a name of a
//     directory that is not listed is asked for by one flight a name.
//   - A listing is believed for Config.TTL and at least ten times what it took
//     (policy ALWAYS), or until the mount's epoch grows (policy ONCE). After a
//     start it is listed again at first use, except that a read-only ONCE mount
//     believes what it stored.
//   - When the store cannot be reached, a read-only mount is answered from an
//     older complete listing of the same epoch; the age is in the answer.
//   - A damaged or foreign database is emptied, a failing disk is done
//     without: neither is ever an error to those who ask.
//
// # Which keys are names
//
// A directory is a prefix that ends with a slash; its names are the next
// elements of the keys below it, in the order of their bytes.
//
//   - An element that is empty (a//b), ".", "..", longer than 255 bytes or with
//     a NUL byte is hidden, together with all keys below it.
//   - Where an object "a" lies beside keys "a/...", the directory is shown and
//     the object is hidden.
//   - An object "a/" makes the directory a, empty if nothing else is below it;
//     its bytes, if it has any, are hidden.
//   - A directory without any key below it does not exist for Lookup, and is
//     empty, not an error, for List.
//
// # How it is kept
//
// One Pebble database. An entry's key is (mount, directory, generation, name);
// a header a directory says which generation holds, when it was begun, how long
// it took, and under which epoch. A flight writes a new generation aside and
// the header last, so the swap is one write. What a flight that never ended has
// written is dropped at the next start. Nobody waits for the disk: a header is
// synced behind those who asked for the listing. A crash may lose the newest,
// never leave a header without its entries, because the log is written in
// order.
//
// A directory with more names than Config.MaxEntries is not kept: its names are
// asked for one by one, and its pages are read from the store.
package dirstore
