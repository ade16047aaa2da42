package jindocli

import (
	"context"

	"github.com/jindo-io/jindo/pkg/cli/raft"
)

const raftOptions = "-verify, -removePeer or -recover"

// raft runs `jindo raft`.
func (r *runner) raft(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return unknownOption("jindo raft", args, raftOptions)
	}
	switch rest := args[1:]; args[0] {
	case "-verify":
		if len(rest) != 0 {
			return usagef("-verify: takes no arguments")
		}
		return r.withRaft(ctx, func(ctx context.Context, m raft.Masters) error {
			sound, err := raft.Verify(ctx, r.env.Out, m)
			if err == nil && !sound {
				return errReported
			}
			return err
		})
	case "-removePeer":
		if len(rest) != 1 {
			return usagef("-removePeer: requires one MEMBER")
		}
		return r.withRaft(ctx, func(ctx context.Context, m raft.Masters) error {
			return raft.RemovePeer(ctx, r.env.Out, m, rest[0])
		})
	case "-recover":
		confirmed := len(rest) == 2 && rest[1] == "-yes"
		if len(rest) != 1 && !confirmed {
			return usagef("-recover: requires one MASTER, and -yes to recover instead of showing what would happen")
		}
		return r.withRaft(ctx, func(ctx context.Context, m raft.Masters) error {
			return raft.Recover(ctx, r.env.Out, m, rest[0], confirmed)
		})
	}
	return unknownOption("jindo raft", args, raftOptions)
}

// withRaft calls a function with the masters' Raft group.
func (r *runner) withRaft(ctx context.Context, command func(context.Context, raft.Masters) error) error {
	cluster, err := r.cluster(ctx)
	if err != nil {
		return err
	}
	group, err := cluster.Raft()
	if err != nil {
		return err
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	return command(ctx, group)
}
