// Package fdstore keeps descriptors for a process that may die. The node plugin
// deposits, for each mount, the fuse descriptor and the slots of its servers;
// the keeper holds them and does nothing else, so it has no reason to die. What
// either side may rely on:
//
//   - Who connects is given everything that is held, before anything else.
//   - A deposit replaces what was held under its key, and is held when the
//     answer has come.
//   - When the keeper comes back empty, the client deposits again what it knows
//     to be deposited; nobody else has to notice.
//   - Only root and the keeper's own user may connect; one client at a time, the
//     newest.
//
// Messages are packets of JSON on a SOCK_SEQPACKET socket and carry a version;
// a side that speaks a newer one accepts every older one and ignores what it
// does not know. Of a mount the keeper knows its key and a description that it
// does not read.
package fdstore
