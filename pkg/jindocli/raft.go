package jindocli

import (
	"context"

	"github.com/jindo-io/jindo/pkg/cli/raft"
)

const raftOptions = "-verify, -removePeer, -recover, -saveSnapshot, -inspectSnapshot, -redactSnapshot or -restoreSnapshot"

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
	case "-saveSnapshot", "-inspectSnapshot", "-redactSnapshot", "-restoreSnapshot":
		return r.snapshot(ctx, args[0], rest)
	}
	return unknownOption("jindo raft", args, raftOptions)
}

// snapshot runs the commands about snapshot files.
func (r *runner) snapshot(ctx context.Context, option string, args []string) error {
	switch {
	case option == "-inspectSnapshot" && len(args) == 1:
		return raft.InspectSnapshot(r.env.Out, args[0])
	case option == "-inspectSnapshot":
		return usagef("-inspectSnapshot: requires one FILE")
	case option == "-redactSnapshot" && len(args) == 2:
		return raft.RedactSnapshot(r.env.Out, args[0], args[1])
	case option == "-redactSnapshot":
		return usagef("-redactSnapshot: requires FILE and OUT")
	case option == "-restoreSnapshot" && (len(args) == 2 || len(args) == 3 && args[2] == "-intoNewCluster"):
		return r.withRaft(ctx, func(ctx context.Context, m raft.Masters) error {
			return raft.RestoreSnapshot(ctx, r.env.Out, m, args[1], args[0], len(args) == 3)
		})
	case option == "-restoreSnapshot":
		return usagef("-restoreSnapshot: requires FILE and MASTER, and -intoNewCluster for a snapshot of another cluster")
	case len(args) < 1 || len(args) > 2:
		return usagef("-saveSnapshot: requires FILE, and at most one MASTER")
	}
	master := ""
	if len(args) == 2 {
		master = args[1]
	}
	return r.withRaft(ctx, func(ctx context.Context, m raft.Masters) error {
		return raft.SaveSnapshot(ctx, r.env.Out, m, master, args[0])
	})
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
