//go:build linux

package fusefs

import "time"

// reasonOff is the reason of a server that was configured without passthrough.
const reasonOff = "off"

// Passthrough is whether the kernel reads sealed files of a mount itself.
type Passthrough struct {
	// Mount is the id of the mount, which stays when another server takes it over.
	Mount string
	// Reason is why it does not, a label of jindo_fuse_passthrough_fallbacks_total or
	// "off"; "" if it does.
	Reason string
	// Files is the number of files that it reads itself now.
	Files int
}

// Passthrough returns the state of the mount. It is safe for concurrent use.
func (s *Server) Passthrough() Passthrough {
	p := s.files.passthrough
	return Passthrough{Mount: p.mount, Reason: p.problem(time.Now()), Files: p.count()}
}

// problem returns why the kernel reads no sealed files itself, as far as that does not
// depend on the file.
func (p *passthrough) problem(now time.Time) string {
	if p.source == nil || p.size < 0 {
		return reasonOff
	}
	if reason := p.disabled(now); reason != "" {
		return reason
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}
