package main

import "context"

func (p person) install(ctx context.Context) error { return nil }
