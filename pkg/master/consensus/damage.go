package consensus

import "fmt"

// DamageError reports that the directory of a member does not prove that it
// holds everything that the member acknowledged: a file is damaged, incomplete,
// missing, or belongs to another member. The directory is unchanged, and no
// member runs with it. Errors of the operating system, such as a missing
// permission or an input/output error, are not damage.
type DamageError struct {
	// Path is the file or the directory, What its damage.
	Path, What string
	// Next is what happens next, or what to do.
	Next string
	// member is the id on disk, empty when it is unknown.
	member string
}

func (e *DamageError) Error() string {
	text := fmt.Sprintf("%s is damaged: %s", e.Path, e.What)
	if e.Next != "" {
		text += "; " + e.Next
	}
	return text
}

// Is makes a DamageError match errDamaged.
func (e *DamageError) Is(target error) bool { return target == errDamaged }

func damage(path, format string, args ...any) *DamageError {
	return &DamageError{Path: path, What: fmt.Sprintf(format, args...)}
}
