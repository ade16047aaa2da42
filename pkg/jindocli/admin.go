package jindocli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/cli/raft"
	"github.com/jindo-io/jindo/pkg/cli/report"
	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

// jfs runs `jindo jfs`.
func (r *runner) jfs(ctx context.Context, args []string) error {
	switch {
	case has(args, "metaStatus"):
		return r.metaStatus(ctx, has(args, "detail"))
	case has(args, "report"):
		return r.report(ctx)
	}
	return unknownOption("jindo jfs", args, "-metaStatus or -report")
}

// admin runs `jindo admin`.
func (r *runner) admin(ctx context.Context, args []string) error {
	return r.mounting(ctx, "jindo admin", args)
}

// cache runs `jindocache` and `jindo cache`.
func (r *runner) cache(ctx context.Context, args []string) error {
	return r.mounting(ctx, nameCache, args)
}

// mounting runs the commands about mounts; name is for error messages.
func (r *runner) mounting(ctx context.Context, name string, args []string) error {
	if len(args) == 0 {
		return unknownOption(name, args, mountingOptions)
	}
	switch args[0] {
	case "-report":
		return r.report(ctx)
	case "-mount":
		return r.mount(ctx, args[1:])
	case "-umount", "-unmount":
		return r.unmount(ctx, args[1:])
	case "-refresh":
		return r.refresh(ctx, args[1:])
	}
	return unknownOption(name, args, mountingOptions)
}

const mountingOptions = "-report, -mount, -umount or -refresh"

// unknownOption reports that the first word is none of the known ones, or that
// one is required.
func unknownOption(command string, args []string, known string) error {
	if len(args) == 0 {
		return usagef("%s: %s is required", command, known)
	}
	return usagef("%s: unknown option %s: must be %s", command, args[0], known)
}

// metaStatus prints the masters and the health of their group. With detail it is the exact block of
// JindoRuntime's documentation.
func (r *runner) metaStatus(ctx context.Context, detail bool) error {
	cluster, err := r.cluster(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	masters := cluster.Masters(ctx)
	for _, m := range masters {
		if m.Error != "" {
			r.warn("%s: %s", m.Name, m.Error)
		}
	}
	if detail {
		return raft.DrawJindo(r.env.Out, masters, raft.Resolver(ctx))
	}
	for _, m := range masters {
		if err := r.print("%s: %s\n", m.Name, m.State); err != nil {
			return err
		}
	}
	group := report.New(report.Ref{}, time.Now())
	group.Masters = masters
	return r.print("health: %s\nverify: %s\n", raft.Health(group), raft.LastVerification(group))
}

// report prints capacity and use of the cache.
func (r *runner) report(ctx context.Context) error {
	cluster, err := r.cluster(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	collected := cluster.Report(ctx)
	for _, f := range collected.Failures {
		r.warn("%s: %s", f.Target, f.Error)
	}
	return r.print("%s", formatReport(collected))
}

// mount lists the mounts without arguments, and adds one with PATH STORE-URI.
func (r *runner) mount(ctx context.Context, args []string) error {
	mount, rest, err := parseMount(args)
	if err != nil {
		return err
	}
	cluster, err := r.cluster(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	if len(rest) == 0 {
		view, err := cluster.View(ctx)
		if err != nil {
			return err
		}
		return r.listMounts(view)
	}
	mount.Path, mount.Uri = rest[0], rest[1]
	mount.Name = strings.ReplaceAll(strings.Trim(rest[0], "/"), "/", "-")
	changed, err := cluster.Mount(ctx, mount)
	if err != nil {
		return err
	}
	if !changed {
		return r.print("Mount point already exists: %s\n", mount.GetPath())
	}
	return r.print("Mounted %s at %s\n", mount.GetUri(), mount.GetPath())
}

// parseMount separates the options, which may be anywhere, from the other words.
func parseMount(args []string) (*commonv1.Mount, []string, error) {
	mount := &commonv1.Mount{Options: map[string]string{}}
	var rest []string
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "-ro" {
			mount.ReadOnly = true
			continue
		}
		if word != "-o" && word != "-secret" {
			if strings.HasPrefix(word, "-") {
				return nil, nil, usagef("-mount: unknown option %s", word)
			}
			rest = append(rest, word)
			continue
		}
		i++
		if i == len(args) {
			return nil, nil, usagef("-mount: option %s requires a value", word)
		}
		if word == "-secret" {
			mount.SecretRef = args[i]
			continue
		}
		key, value, ok := strings.Cut(args[i], "=")
		if !ok || key == "" {
			return nil, nil, usagef("-mount: invalid option -o %q: must be KEY=VALUE", args[i])
		}
		mount.Options[key] = value
	}
	if len(rest) != 0 && len(rest) != 2 {
		return nil, nil, usagef("-mount: requires PATH and STORE-URI, or neither")
	}
	return mount, rest, nil
}

// listMounts prints one line for each mount. Programs read the third word, the
// path.
func (r *runner) listMounts(view *commonv1.ClusterView) error {
	mounts := slices.Clone(view.GetMounts())
	slices.SortFunc(mounts, func(a, b *commonv1.Mount) int { return strings.Compare(a.GetPath(), b.GetPath()) })
	for _, m := range mounts {
		access := v1alpha1.ServedAccess(m.GetReadOnly())
		if err := r.print("%s on %s type jindo (%s)\n", m.GetUri(), m.GetPath(), access); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) unmount(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return usagef("-umount: requires one PATH")
	}
	cluster, err := r.cluster(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	if err := cluster.Unmount(ctx, args[0]); err != nil {
		return err
	}
	return r.print("Unmounted %s\n", args[0])
}

// refresh discards the names of a mount that workers and FUSE servers have
// cached.
func (r *runner) refresh(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return usagef("-refresh: requires the PATH of one mount")
	}
	cluster, err := r.cluster(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	if err := cluster.Invalidate(ctx, args[0]); err != nil {
		return err
	}
	return r.print("Refreshing %s\n", args[0])
}
