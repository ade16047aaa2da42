//go:build linux

package fusefs

import "syscall"

type unixStat = syscall.Stat_t

func serveAsChild() bool { return false }
