// Package peer runs the file systems that benchmarks compare with: s3fs, rclone,
// geesefs, goofys and JuiceFS, each as its documentation recommends for reading
// through a local cache. A peer is a program that is found on PATH or in the
// directory PEERS_DIR; one that is missing is left out with the reason.
package peer
