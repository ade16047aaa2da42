package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// runClock is the environment variable with the path of a file, from which such a
// master reads how many nanoseconds its clock is ahead.
const runClock = "JINDO_TEST_RUN_CLOCK"

// jumpingClock returns a clock that follows the file. Without one it is right.
func jumpingClock(path string) func() time.Time {
	return func() time.Time {
		now := time.Now()
		raw, err := os.ReadFile(path)
		if err != nil {
			return now
		}
		ahead, _ := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64) // 0 while it is being written
		return now.Add(time.Duration(ahead))
	}
}
