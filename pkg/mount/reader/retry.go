package reader

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jindo-io/jindo/pkg/cache/client"
	"github.com/jindo-io/jindo/pkg/ufs"
)

// errTimeout ends a read whose Config.ReadTimeout has passed.
var errTimeout = fmt.Errorf("the read timed out: %w", ErrUnavailable)

// storeState collects what the sources of one round report about the store, and
// decides whether another round can help. The time spent on a store that refuses
// connections is counted over all rounds.
type storeState struct {
	began time.Time
	// denied, noBucket and refused are set by the errors of this round; slow
	// means that a source may still succeed.
	denied, noBucket, refused, slow bool
	// rejected means that a source rejects the request as one that can never
	// succeed, other that a source failed for another reason.
	rejected, other bool
}

// reset starts a new round.
func (s *storeState) reset() { *s = storeState{began: s.began} }

// add classifies the error of one source, or the joined errors of several.
func (s *storeState) add(err error) {
	s.denied = s.denied || isAny(err, client.ErrPermission, ufs.ErrPermission)
	s.noBucket = s.noBucket || isAny(err, client.ErrNoBucket, ufs.ErrNoBucket)
	s.refused = s.refused || isAny(err, client.ErrStoreRefused, ufs.ErrConnectionRefused)
	s.rejected = s.rejected || isAny(err, client.ErrInvalid, ufs.ErrInvalid)
	s.other = s.other || isAny(err, client.ErrUnreachable, client.ErrStalled, client.ErrUnavailable, client.ErrThrottled,
		client.ErrUnknownMount, client.ErrGarbled, client.ErrTooLarge, ufs.ErrUnavailable, ufs.ErrThrottled)
	s.slow = s.slow || isAny(err, client.ErrStalled, client.ErrThrottled, ufs.ErrThrottled)
}

func isAny(err error, kinds ...error) bool {
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}

// verdict returns the error to fail with after a round in which all sources
// failed, and nil when the read is to be retried.
func (s *storeState) verdict(now time.Time, refusedTimeout time.Duration) error {
	switch {
	case s.denied:
		return ErrPermission
	case s.noBucket:
		return fmt.Errorf("the bucket or directory of the mount does not exist: %w", ErrUnavailable)
	case s.rejected && !s.other:
		return fmt.Errorf("every source rejects the request: %w", ErrUnavailable)
	case s.refused && !s.slow && now.Sub(s.began) >= refusedTimeout:
		return fmt.Errorf("the store refused connections for %s: %w", refusedTimeout, ErrUnavailable)
	}
	return nil
}
