package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/jindo-io/jindo/test/dataset"
)

// Sizes of the data set.
const (
	warmSize   = 512 << 20
	coldSize   = 256 << 20
	herdSize   = 128 << 20
	smallFiles = 1500
	firstFiles = 200
	// directoryFiles bounds the small files of one directory.
	directoryFiles = 500
)

// layout is the data set: a file that is read warm, and files for each repetition
// of each load that reads cold, so that no contender has seen them.
type layout struct {
	warm dataset.File
	// cold, shaped and herd have one file a repetition.
	cold, shaped, herd []dataset.File
	// small has the small files of each repetition, small[0] also those that are
	// read warm. first has the files of the first bytes.
	small, first [][]dataset.File
	// epochs are the files that are read again and again.
	epochs []dataset.File
}

func plan(repetitions int) layout {
	l := layout{warm: dataset.File{Path: "models/warm.bin", Size: warmSize}}
	for n := range repetitions {
		l.cold = append(l.cold, dataset.File{Path: fmt.Sprintf("models/cold-%d.bin", n), Size: coldSize})
		l.shaped = append(l.shaped, dataset.File{Path: fmt.Sprintf("models/shaped-%d.bin", n), Size: coldSize})
		l.herd = append(l.herd, dataset.File{Path: fmt.Sprintf("models/herd-%d.bin", n), Size: herdSize})
		l.small = append(l.small, smallSet(fmt.Sprintf("small-%d", n), smallFiles, 4<<10, 64<<10, uint64(n)))
		l.first = append(l.first, smallSet(fmt.Sprintf("first-%d", n), firstFiles, 256<<10, 1<<20, uint64(n)))
	}
	return l
}

func smallSet(dir string, count int, least, most int64, seed uint64) []dataset.File {
	random := rand.New(rand.NewPCG(seed, 2))
	files := make([]dataset.File, count)
	for i := range files {
		files[i] = dataset.File{Path: fmt.Sprintf("%s/part-%02d/%05d.jpg", dir, i/directoryFiles, i), Size: least + random.Int64N(most-least+1)}
	}
	return files
}

func (l layout) all() []dataset.File {
	all := slices.Clone(l.epochs)
	if l.warm.Size > 0 {
		all = append(all, l.warm)
	}
	all = append(append(append(all, l.cold...), l.shaped...), l.herd...)
	return append(append(all, flatten(l.small)...), flatten(l.first)...)
}
