package fdpass

import "sync"

// pending is what a session does in the background: it waits for a worker that does not
// read in place of the readers of files, and of the goroutine that reads what the worker
// sends, which must not wait for the worker to read.
type pending struct {
	mu sync.Mutex
	// reports are files with a report to send, each once.
	reports []*File
	// wanted are files that the worker requires.
	wanted []*File
}

func (p *pending) addReport(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports = append(p.reports, f)
}

func (p *pending) addWanted(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = append(p.wanted, f)
}

func (p *pending) take() (reports, wanted []*File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reports, wanted = p.reports, p.wanted
	p.reports, p.wanted = nil, nil
	return reports, wanted
}

// wakeUp makes background look for work.
func (s *session) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// background works until the session ends.
func (s *session) background() {
	for {
		select {
		case <-s.wake:
		case <-s.ended:
			return
		}
		reports, wanted := s.pending.take()
		for _, f := range wanted {
			f.wanted()
		}
		for len(reports) > 0 {
			n := min(len(reports), maxUses)
			s.sendReports(reports[:n])
			reports = reports[n:]
		}
	}
}

// sendReports sends the reports of at most maxUses files.
func (s *session) sendReports(files []*File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	m := message{kind: kindUses}
	for _, f := range files {
		// What changes from here on is reported again.
		f.queued.Store(false)
		switch {
		case s.lent[f.id] != f: // It was returned.
		case f.recalls:
			m.uses = append(m.uses, f.use())
		default:
			f.report()
		}
	}
	if len(m.uses) > 0 {
		// If this fails, the connection ends.
		_ = s.write(m)
	}
}
