// Package dirstore caches the names in directories, so that a store is listed
// once for all clients.
//
// # Guarantees
//
//   - A name is absent only if the store says so: by a complete listing without
//     it, or a 404 together with an empty listing below it. Any other failure is
//     an error and changes nothing that is cached. A listing that fails midway
//     is dropped.
//   - A directory is listed once at a time for all requests, and so is a single
//     name of a directory that is not listed.
//   - A listing is valid for Config.TTL and at least ten times its duration
//     (policy ALWAYS), or until the mount's epoch grows (policy ONCE). After a
//     restart it is listed again at first use, except that a stored listing of a
//     read-only ONCE mount stays valid.
//   - While the store is unreachable, a read-only mount is served from an older
//     complete listing of the same epoch; the result carries its age.
//   - A damaged or foreign database is emptied, and a failing disk is not used
//     any more. Neither causes an error for callers.
//
// # Keys and names
//
// A directory is a prefix that ends with a slash. Its names are the next
// elements of the keys below it, in the order of their bytes.
//
//   - Names are bytes: they need not be UTF-8, and may contain control characters
//     and line breaks. Two encodings of one letter are two names.
//   - An element that is empty (a//b), ".", "..", longer than 255 bytes or
//     contains a NUL byte is hidden, together with all keys below it. So are keys
//     longer than 8192 bytes, and objects whose entity tag is longer than 1024
//     bytes. Hidden keys are counted: see Totals.
//   - A name that the store cannot hold, because its protocol cannot carry it, is
//     absent.
//   - If there are an object "a" and keys "a/...", the directory is shown and the
//     object is hidden.
//   - An object "a/" makes a directory "a", which is empty if nothing else is
//     below it. The bytes of the object, if any, are hidden.
//   - A directory without keys below it does not exist for Lookup. For List it is
//     empty, not an error.
//
// # Storage
//
// Everything is in one Pebble database. The key of an entry is (mount,
// directory, generation, name). One header per directory holds its current
// generation, when its listing began, how long it took and the epoch. A listing
// writes a new generation and its header last, so that the switch is one write.
// What an unfinished listing has written is dropped at the next start. No
// request waits for the disk: a header is synced in the background. A crash may
// lose the newest listings, but never leaves a header without its entries,
// because the log is written in order.
//
// Requests get names from a listing in progress, as far as no key that the store
// has not listed yet can change them. A listing that fails afterwards ends such
// requests with its error.
//
// # Totals
//
// The keys of a mount are counted by listing all of them, within a budget of
// objects, requests and time. A count that ends at the budget is a lower bound. It
// is kept, also over a restart and a new epoch, and repeated after a day, then
// after two, four and eight.
//
// # Large directories
//
// A directory with more than Config.MaxEntries names is not cached: its names
// are looked up one by one, and its pages are read from the store.
package dirstore
