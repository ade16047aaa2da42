package topology

import (
	"context"
	"fmt"
	"reflect"
	"time"
)

// WatchInterval is the time between two reads of a topology file by Watch. A file
// of a ConfigMap changes up to a minute or two after the ConfigMap.
const WatchInterval = time.Second

// Watch reads the topology in a file every interval until ctx is done, and calls
// changed with each one that differs from the one before; current is the first.
// A file that cannot be read, or that belongs to another cluster, changes nothing:
// failed is called with the error, once until it is another one.
func Watch(ctx context.Context, path string, current Topology, interval time.Duration, changed func(Topology), failed func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	reported := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		next, err := Load(path)
		if err == nil && next.ClusterID != current.ClusterID {
			err = fmt.Errorf("read topology %s: it has cluster id %q, not %q", path, next.ClusterID, current.ClusterID)
		}
		if err != nil {
			if err.Error() != reported {
				reported = err.Error()
				failed(err)
			}
			continue
		}
		reported = ""
		if !reflect.DeepEqual(next, current) {
			current = next
			changed(next)
		}
	}
}
