package local

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// spawner starts children that die with this process. PR_SET_PDEATHSIG refers to
// the parent's thread and not to its process, so all children are started from one
// thread that runs until close.
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

// close ends the thread. Children that still run may be killed by this.
func (s *spawner) close() { close(s.work) }

// start starts a command in its own process group, so that signals of a terminal
// do not reach it.
func (s *spawner) start(cmd *exec.Cmd) (ProcessID, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	result := make(chan error)
	s.work <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return ProcessID{}, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	// The child is not reaped before Wait, so its pid cannot be reused.
	id, _, err := identify(cmd.Process.Pid)
	return id, err
}

// selfCommand returns a command that runs this program.
func selfCommand(words []string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Args[0] = os.Args[0]
	return cmd
}
