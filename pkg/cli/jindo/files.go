package jindo

import (
	"context"
	"errors"
)

// Files opens the tree.
func (c *remote) Files(context.Context) (Files, error) { return nil, errors.New("not built yet") }
