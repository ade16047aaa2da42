package blockstore

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseTier parses MEDIUM:PATH:QUOTA or MEDIUM:PATH:QUOTA:HIGH:LOW. The quota
// is in bytes, the watermarks are fractions of it.
func ParseTier(s string) (Tier, error) {
	fields := strings.Split(s, ":")
	if len(fields) != 3 && len(fields) != 5 {
		return Tier{}, fmt.Errorf("invalid tier %q: use MEDIUM:PATH:QUOTA or MEDIUM:PATH:QUOTA:HIGH:LOW", s)
	}
	t := Tier{Medium: fields[0], Path: fields[1]}
	switch t.Medium {
	case "MEM", "SSD", "HDD":
	default:
		return Tier{}, fmt.Errorf("invalid tier %q: medium %q: use MEM, SSD or HDD", s, t.Medium)
	}
	var err error
	if t.Quota, err = strconv.ParseInt(fields[2], 10, 64); err != nil {
		return Tier{}, fmt.Errorf("invalid tier %q: quota: %w", s, err)
	}
	if len(fields) == 5 {
		if t.High, err = strconv.ParseFloat(fields[3], 64); err != nil {
			return Tier{}, fmt.Errorf("invalid tier %q: high watermark: %w", s, err)
		}
		if t.Low, err = strconv.ParseFloat(fields[4], 64); err != nil {
			return Tier{}, fmt.Errorf("invalid tier %q: low watermark: %w", s, err)
		}
		if t.High == 0 || t.Low == 0 {
			return Tier{}, fmt.Errorf("invalid tier %q: watermarks must be greater than 0", s)
		}
	}
	_, err = newTier(t, DefaultShare, nil, 0)
	return t, err
}
