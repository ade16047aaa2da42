package fdpass

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jindo-io/jindo/pkg/mtls"
)

// lending is what a server lends over one connection.
type lending struct {
	server   *Server
	conn     *net.UnixConn
	borrower Borrower
	// loans belong to the goroutine that processes the messages of the client.
	loans map[uint64]Loan

	mu sync.Mutex
	// recalled are the files whose recall is to be sent; a recaller sends them.
	recalled []uint64
	wake     chan struct{}
}

// lend lends files of a scope over a connection until it ends, then ends its loans.
func (s *Server) lend(c *net.UnixConn, scope mtls.Scope) {
	l := &lending{
		server: s, conn: c, borrower: s.config.Lender.Borrower(scope),
		loans: map[uint64]Loan{}, wake: make(chan struct{}, 1),
	}
	ended := make(chan struct{})
	var recaller sync.WaitGroup
	recaller.Go(func() { l.sendRecalls(ended) })
	defer recaller.Wait()
	defer func() {
		close(ended)
		for _, loan := range l.loans {
			loan.Return()
		}
	}()
	buf := make([]byte, maxMessage+1)
	for {
		m, file, err := receive(c, buf)
		if file != nil { // Clients must not send descriptors.
			_ = file.Close()
		}
		if err != nil {
			if errors.Is(err, errProtocol) {
				s.config.Logger.Warn("closing a connection to the socket of sealed files", "error", err)
			}
			return
		}
		if err := l.handle(m); err != nil {
			s.config.Logger.Debug("a connection to the socket of sealed files ended", "error", err)
			return
		}
	}
}

// handle processes one message.
func (l *lending) handle(m message) error {
	loan, lent := l.loans[m.id]
	switch m.kind {
	case kindGiveBack:
		if lent {
			delete(l.loans, m.id)
			loan.Return()
		}
		return nil
	case kindUsed:
		if lent {
			loan.Used(int64(m.opens), int64(min(m.bytes, maxUsed)))
		}
		return nil
	case kindUses:
		l.use(m.uses)
		return nil
	}
	if m.kind != kindOpen || lent {
		return fmt.Errorf("kind %d, id %d: %w", m.kind, m.id, errProtocol)
	}
	return l.open(m)
}

// use records the use of files. What does not belong to a file is ignored, because the
// file may be returned.
func (l *lending) use(uses []use) {
	for _, u := range uses {
		loan := l.loans[u.id]
		if loan == nil {
			continue
		}
		if u.opens > 0 || u.bytes > 0 {
			loan.Used(int64(u.opens), int64(min(u.bytes, maxUsed)))
		}
		loan.SetIdle(u.idle)
	}
}

// open processes a request for a file.
func (l *lending) open(m message) error {
	reply := message{kind: kindOpened, id: m.id}
	fd := -1
	loan, err := l.borrow(m.key)
	switch {
	case errors.Is(err, ErrNotSealed):
		reply.outcome, reply.text = notSealed, err.Error()
	case err != nil:
		reply.outcome, reply.text = refused, err.Error()
	default:
		l.loans[m.id] = loan
		fd = int(loan.Fd())
		reply.text = featureUsed
		if m.recalls {
			reply.text = featureUses
		}
		defer loan.CloseFile()
	}
	if err := l.server.send(l.conn, reply, fd); err != nil {
		return err
	}
	if loan == nil {
		return nil
	}
	// After the reply, so that the client knows the file that is revoked or recalled.
	loan.OnRevoke(func() {
		if err := l.server.send(l.conn, message{kind: kindRevoked, id: m.id}, -1); err != nil {
			// The end of the connection makes the client drop all files.
			_ = l.conn.Close()
		}
	})
	loan.OnRecall(func() { l.recall(m.id) })
	return nil
}

func (l *lending) borrow(key Key) (Loan, error) {
	if len(l.loans) >= maxLoans {
		return nil, fmt.Errorf("%d files are lent to this connection already", len(l.loans))
	}
	return l.borrower.Lend(key)
}

// recall has the recall of a file sent. It does not wait.
func (l *lending) recall(id uint64) {
	l.mu.Lock()
	l.recalled = append(l.recalled, id)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// sendRecalls sends recalls until the connection has ended. One that cannot be sent is
// lost: the lender does not rely on it.
func (l *lending) sendRecalls(ended <-chan struct{}) {
	for {
		select {
		case <-l.wake:
		case <-ended:
			return
		}
		l.mu.Lock()
		ids := l.recalled
		l.recalled = nil
		l.mu.Unlock()
		for len(ids) > 0 {
			n := min(len(ids), 1+maxRecalled)
			m := message{kind: kindRecalled, id: ids[0], more: ids[1:n]}
			if err := l.server.send(l.conn, m, -1); err != nil {
				break
			}
			ids = ids[n:]
		}
	}
}

func (s *Server) send(c *net.UnixConn, m message, fd int) error {
	if err := c.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	return send(c, m, fd)
}
