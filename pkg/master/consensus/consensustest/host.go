package consensustest

import (
	"fmt"
	"math/rand/v2"
)

// host returns a loopback address that no other fixture uses. Ports that were
// free a moment ago stay free there, because outgoing connections do not use
// it.
func host() string {
	return fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(128), rand.IntN(256), 1+rand.IntN(254))
}
