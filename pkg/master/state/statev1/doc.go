// Package statev1 defines what masters write to disk: the commands of their
// log, the stored results and the records of their snapshots. All but this file
// is generated from state.proto.
package statev1
