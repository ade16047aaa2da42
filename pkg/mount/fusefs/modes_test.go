//go:build linux

package fusefs

import (
	"testing"
)

// TestModesSurviveATakeover checks mixtures of handles of one node: in passthrough
// mode, cached, and direct, opened and released by different servers.
func TestModesSurviveATakeover(t *testing.T) {
	for name, steps := range map[string]func(n node, do func(step) uint64){
		"passthrough": func(n node, do func(step) uint64) {
			a := do(openStep(n, openInMode, 7))
			b := do(openStep(n, openInMode, 8))
			c := do(openStep(n, openDirect, 9))
			do(releaseStep(a))
			do(releaseStep(b))
			do(openStep(n, openInMode, 0))
			do(releaseStep(c))
		},
		"cached": func(n node, do func(step) uint64) {
			a := do(openStep(n, openInMode, 0))
			b := do(openStep(n, openDirect, 0))
			c := do(openStep(n, openInMode, 7))
			do(releaseStep(a))
			do(openStep(n, openInMode, 8))
			do(releaseStep(b))
			do(releaseStep(c))
		},
		// The last handle in passthrough mode is released after the server decided how to
		// open a file with O_DIRECT, and before it opened it.
		"unaligned": func(n node, do func(step) uint64) {
			a := do(openStep(n, openInMode, 7))
			n.backing = 7
			b := do(openStep(n, openUnaligned, 0))
			do(releaseStep(b))
			do(releaseStep(a))
			do(openStep(n, openUnaligned, 0))
			do(openStep(n, openInMode, 8))
		},
		"direct first": func(n node, do func(step) uint64) {
			a := do(openStep(n, openDirect, 0))
			b := do(openStep(n, openInMode, 7))
			do(releaseStep(a))
			do(releaseStep(b))
			do(openStep(n, openInMode, 0))
		},
		"forgotten while it is released": func(n node, do func(step) uint64) {
			a := do(openStep(n, openInMode, 7))
			b := do(openStep(n, openInMode, 8))
			do(forgetStep([]forgetEntry{{n.id, 1}}))
			do(lookupStep([]lookup{file(n.path, "one", 5)}, 0, nil))
			do(releaseStep(a))
			do(releaseStep(b))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t)
			defer func() { s.close() }()
			do := func(f step) (handle uint64) {
				before := map[uint64]bool{}
				for id := range s.model.handles {
					before[id] = true
				}
				if err := s.do(f, -1, -1); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := s.model.check(s.table); err != nil {
						t.Fatal(err)
					}
					if err := s.replace(nil, -1); err != nil {
						t.Fatal(err)
					}
				}
				for id := range s.model.handles {
					if !before[id] {
						handle = id
					}
				}
				return handle
			}
			do(lookupStep([]lookup{file("/a", "one", 5)}, 0, nil))
			for _, n := range s.model.nodes {
				steps(n, do)
			}
		})
	}
}

// TestModesAreAFeature checks that a version without modes refuses a table with
// them, also when the header was half written.
func TestModesAreAFeature(t *testing.T) {
	s := newSystem(t)
	defer func() { s.close() }()
	h, ok := decodeHeader(s.table.arena.prologue)
	if !ok || h.features != featureModes {
		t.Errorf("the header has features %#x, valid %v", h.features, ok)
	}
	second, ok := decodeHeader(s.table.arena.prologue[headerCopyAt:])
	if !ok || second != h {
		t.Errorf("the copy of the header is %+v, want %+v", second, h)
	}
	s.table.arena.prologue[30] ^= 1
	if err := s.replace(nil, -1); err != nil || !s.table.modes || s.table.header.features != featureModes {
		t.Errorf("after a half write: error %v, header %+v", err, s.table.header)
	}
}
