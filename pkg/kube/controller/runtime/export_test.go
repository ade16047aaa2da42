package runtime

// Complete sets the defaults of r, for tests that run passes without a manager.
func (r *Reconciler) Complete() { r.complete() }
