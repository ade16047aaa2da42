package local
import "context"
func (s *supervisor) watch(ctx context.Context) { <-ctx.Done() }
