package consensustest

import (
	"fmt"
	"math/rand/v2"
)

// host is a loopback address of its own for each fixture: ports that were free
// a moment ago stay free there, since nobody dials out from it.
func host() string {
	return fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(128), rand.IntN(256), 1+rand.IntN(254))
}
