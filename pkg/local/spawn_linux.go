package local

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// spawner starts children that die with this process. PR_SET_PDEATHSIG speaks
// of the parent's thread, not of its process, so all children are started from
// one thread that lives until close.
type spawner struct {
	work chan func()
}

func newSpawner() *spawner {
	s := &spawner{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for f := range s.work {
			f()
		}
	}()
	return s
}

// close lets the thread go. Children that still run may be killed by it.
func (s *spawner) close() { close(s.work) }

// start starts a command in a process group of its own, so that a terminal's
// signals do not reach it.
func (s *spawner) start(cmd *exec.Cmd) (ProcessID, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	result := make(chan error)
	s.work <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return ProcessID{}, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	// The child is not reaped before Wait, so its pid still means it.
	id, _, err := identify(cmd.Process.Pid)
	return id, err
}

// again makes a command that runs this program, under the name it has now.
func again(words []string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Args[0] = os.Args[0]
	return cmd
}
