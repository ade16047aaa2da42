// Package statev1 is what masters write to disk: the commands of their log,
// the results they remember and the records of their snapshots. All but this
// file is generated from state.proto.
package statev1
