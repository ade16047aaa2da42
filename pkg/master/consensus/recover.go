package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/jindo-io/jindo/pkg/rpc/masterv1"
)

// Recover describes the recovery of the cluster from this member, and, if confirm is set,
// stops the member and recovers; see Offline. Run then returns, and the process must end
// and start again. It returns an error, and changes nothing, while there is a leader or a
// majority of the voters responds: two masters that reach each other and not this one
// would continue the former epoch. seen is the newest index that a client is known to
// have; see Offline.
func (n *Node) Recover(ctx context.Context, confirm bool, seen uint64) (*masterv1.RecoverResponse, error) {
	plan, err := n.plan(ctx, seen)
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	if !confirm {
		return plan, nil
	}
	if n.config.NewState == nil {
		return nil, errors.New("recover: it is not supported by this process")
	}
	blank, err := n.config.NewState()
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	err = n.offline(blank, seen, func(o *Offline) error {
		done, err := o.Recover()
		if err == nil {
			plan.LastTerm, plan.LastIndex, plan.Epoch = done.GetLastTerm(), done.GetLastIndex(), done.GetEpoch()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	return plan, nil
}

// plan returns what a recovery from this member does, or why there must be none.
func (n *Node) plan(ctx context.Context, seen uint64) (*masterv1.RecoverResponse, error) {
	if leader, _ := n.Leader(); leader != "" {
		return nil, fmt.Errorf("%s leads: nothing is lost", leader)
	}
	servers := n.servers()
	if !n.hasState() || len(servers) == 0 {
		return nil, errNoState
	}
	alive, err := n.responding(ctx)
	if err != nil {
		return nil, err
	}
	alive[n.id] = true
	responding := 0
	for _, s := range servers {
		if s.Suffrage == raft.Voter && alive[s.ID] {
			responding++
		}
	}
	if voters := countVoters(servers); responding >= voters/2+1 {
		return nil, fmt.Errorf("%d of the %d voters respond, which is a majority: they elect a leader when they reach each other", responding, voters)
	}
	return planOf(survivor{identity: identity{ID: string(n.id)}, last: n.position(), servers: servers}, seen, n.memory, alive), nil
}

// responding returns the ids of the other members that respond. It returns an error if
// one of them leads.
func (n *Node) responding(ctx context.Context) (map[raft.ServerID]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	var mu sync.Mutex
	var leads error
	alive := map[raft.ServerID]bool{}
	var wait sync.WaitGroup
	for _, other := range n.others() {
		wait.Go(func() {
			response, err := n.config.Peers.Describe(ctx, other, &masterv1.DescribeRequest{})
			if err != nil || response.GetClusterId() != n.config.ClusterID {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			alive[raft.ServerID(response.GetMemberId())] = true
			if response.GetLeadingTerm() != 0 {
				leads = fmt.Errorf("%s leads: nothing is lost", other.Name)
			}
		})
	}
	wait.Wait()
	return alive, leads
}

// Restore stops this member, which must have no state, and makes it the only one of its
// cluster, in a new epoch, with a state after the entry at an index; see Offline. state is
// not used afterwards. Run then returns, and the process must end and start again. It
// returns an error, and changes nothing, if any master has state, and unless every master
// that the topology lists responds. seen is as in Recover.
func (n *Node) Restore(ctx context.Context, state StateMachine, index, seen uint64) (epoch uint64, err error) {
	others := n.describeOthers(ctx)
	switch {
	case n.hasState():
		err = errors.New("the disk of this master holds a state")
	case others.foreign != "":
		err = errors.New(others.foreign)
	case others.state:
		err = errors.New("the disk of another master holds a state, which this one joins")
	case others.silent != nil:
		err = fmt.Errorf("every master must report that it has no state: %w", others.silent)
	default:
		err = n.offline(state, seen, func(o *Offline) error {
			epoch, err = o.Restore(index)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("restore: %w", err)
	}
	return epoch, nil
}

// offline stops this member and calls a function with its directory.
func (n *Node) offline(state StateMachine, seen uint64, use func(*Offline) error) error {
	n.recovery.Lock()
	defer n.recovery.Unlock()
	n.stopLock.Lock()
	stopped := n.closing.Swap(true)
	n.stopLock.Unlock()
	if stopped || n.failed.Load() {
		return errStopped
	}
	n.refusing.Store(true)
	n.logger.Warn("this master stops to change its directory, as requested")
	if err := n.close(); err != nil {
		return err
	}
	return use(&Offline{
		Name: n.config.Name, DataDir: n.config.DataDir, ClusterID: n.config.ClusterID, Topology: n.Topology(),
		Seen: seen, State: state, Logger: n.logger,
	})
}
