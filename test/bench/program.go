package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// program is a command that is run repeatedly, alternating with others.
type program struct {
	name  string
	words []string
	env   []string
}

// once runs the program, and returns its duration and the processor time of it and
// its children, in milliseconds.
func (p program) once(ctx context.Context) (wall, processor float64, err error) {
	cmd := exec.CommandContext(ctx, p.words[0], p.words[1:]...)
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = append(os.Environ(), p.env...), &stderr
	begin := time.Now()
	err = cmd.Run()
	wall = float64(time.Since(begin).Microseconds()) / 1e3
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w: %s", strings.Join(p.words, " "), err, stderr.String())
	}
	return wall, float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Microseconds()) / 1e3, nil
}

// alternate runs a peer and our program alternately, so that load affects both
// equally, after one warm-up run of each.
func alternate(ctx context.Context, times int, peer, ours program) ([]series, error) {
	wall, processor := map[string][]float64{}, map[string][]float64{}
	for i := range times + 1 {
		for _, p := range []program{peer, ours} {
			took, worked, err := p.once(ctx)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				wall[p.name], processor[p.name] = append(wall[p.name], took), append(processor[p.name], worked)
			}
		}
	}
	const ofProcessors = ", processors"
	return []series{
		{What: peer.name, Unit: "ms", Figures: wall[peer.name]},
		{What: ours.name, Unit: "ms", Limit: peer.name, Figures: wall[ours.name]},
		{What: peer.name + ofProcessors, Unit: "CPU ms", Figures: processor[peer.name]},
		{What: ours.name + ofProcessors, Unit: "CPU ms", Limit: peer.name + ofProcessors, Figures: processor[ours.name]},
	}, nil
}
