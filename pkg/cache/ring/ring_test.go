package ring

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jindo-io/jindo/pkg/rpc/commonv1"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata")

func members(weights ...uint64) []*commonv1.RingMember {
	out := make([]*commonv1.RingMember, len(weights))
	for i, w := range weights {
		out[i] = &commonv1.RingMember{Id: fmt.Sprintf("id-%d", i), Name: fmt.Sprintf("hadoop-jindofs-worker-%d", i), Weight: w}
	}
	return out
}

func ringOf(m []*commonv1.RingMember) *Ring { return New(&commonv1.Ring{Epoch: 1, Members: m}) }

func names(order []*commonv1.RingMember) []string {
	out := make([]string, len(order))
	for i, m := range order {
		out[i] = strings.TrimPrefix(m.GetName(), "hadoop-jindofs-")
	}
	return out
}

// TestPlacementsAreStable: a failure means that every existing cache would
// be lost. Change the file only together with a migration.
func TestPlacementsAreStable(t *testing.T) {
	var b strings.Builder
	for _, ring := range []struct {
		name string
		ring *Ring
	}{
		{"three equal", ringOf(members(1<<31, 1<<31, 1<<31))},
		{"1 2 4", ringOf(members(1, 2, 4))},
		{"seven", ringOf(members(1<<40, 1<<40, 1<<39, 1<<40, 0, 1<<41, 7))},
	} {
		for i := range 24 {
			key := ObjectKey("m1", fmt.Sprintf("train/%d/part-%05d.bin", i%3, i), fmt.Sprintf("%032x", i*i), int64(i)<<20, int64(i%2))
			if i%4 == 3 {
				key = DirectoryKey("m1", fmt.Sprintf("train/%d", i))
			}
			fmt.Fprintf(&b, "%s\t%s\t%s\n", ring.name, key, strings.Join(names(ring.ring.Order(key)), " "))
		}
	}
	path := filepath.Join("testdata", "placements.txt")
	if *rewrite {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Fatalf("placements have changed:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestKeysAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, key := range []string{
		ObjectKey("a", "b", "c", 1, 0), ObjectKey("ab", "", "c", 1, 0), ObjectKey("a", "bc", "", 1, 0),
		ObjectKey("a", "b", "c", 10, 0), ObjectKey("a", "b", "c", 1, 1), ObjectKey("a", "b", "c1", 1, 0),
		ObjectKey("a", "1:b", "", 1, 0), ObjectKey("a", "", "1:b", 1, 0),
		DirectoryKey("a", "b"), DirectoryKey("ab", ""), DirectoryKey("", "ab"),
	} {
		if seen[key] {
			t.Errorf("%q is a duplicate", key)
		}
		seen[key] = true
	}
}

func TestWaitIsTheLogarithm(t *testing.T) {
	for _, x := range []uint64{0, 1, 2, 3, 1 << 20, 1<<63 - 1, 1 << 63, 3 << 62, math.MaxUint64} {
		want := 64 - math.Log2(math.Max(float64(x), 1))
		if got := float64(wait(x)) / (1 << fraction); math.Abs(got-want) > 1e-9 {
			t.Errorf("wait(%d) is %v, want %v", x, got, want)
		}
	}
}

func TestBalanceByWeight(t *testing.T) {
	const keys = 40000
	for _, weights := range [][]uint64{{1, 1, 1}, {1, 2, 4}, {1 << 40, 3 << 40, 1 << 41, 1 << 40, 5 << 38}, {10, 10, 0, 1}} {
		t.Run(fmt.Sprint(weights), func(t *testing.T) {
			m := members(weights...)
			r, owned, sum := ringOf(m), map[string]int{}, uint64(0)
			for i := range keys {
				owned[r.Order(fmt.Sprintf("key %d", i))[0].GetName()]++
			}
			for _, w := range weights {
				sum += w
			}
			for i, w := range weights {
				share := float64(w) / float64(sum)
				want := share * keys
				// Five standard deviations of the binomial distribution.
				if got := float64(owned[m[i].GetName()]); math.Abs(got-want) > 5*math.Sqrt(keys*share*(1-share)) {
					t.Errorf("weight %d owns %v of %d, want %v", w, got, keys, want)
				}
			}
		})
	}
}

func drawMembers(t *rapid.T) []*commonv1.RingMember {
	drawn := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,6}`), 1, 12, rapid.ID).Draw(t, "names")
	out := make([]*commonv1.RingMember, len(drawn))
	for i, name := range drawn {
		out[i] = &commonv1.RingMember{Name: name, Weight: rapid.Uint64Range(0, 1<<50).Draw(t, "weight")}
	}
	return out
}

func TestMembershipChangeMovesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawMembers(t)
		removed := rapid.IntRange(0, len(all)-1).Draw(t, "removed")
		with, without := ringOf(all), ringOf(slices.Delete(slices.Clone(all), removed, removed+1))
		for i := range 20 {
			key := fmt.Sprintf("%d", i)
			order := with.Order(key)
			rest := slices.DeleteFunc(slices.Clone(order), func(m *commonv1.RingMember) bool { return m == all[removed] })
			if !slices.Equal(names(rest), names(without.Order(key))) {
				t.Fatalf("key %s: %v with all, %v without %s", key, names(order), names(without.Order(key)), all[removed].GetName())
			}
		}
	})
}

func TestMoreWeightOnlyAttractsKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawMembers(t)
		i := rapid.IntRange(0, len(all)-1).Draw(t, "grows")
		grown := slices.Clone(all)
		grown[i] = &commonv1.RingMember{Name: all[i].GetName(), Weight: all[i].GetWeight() + rapid.Uint64Range(1, 1<<50).Draw(t, "by")}
		for k := range 20 {
			key := fmt.Sprintf("%d", k)
			before, after := ringOf(all).Order(key)[0].GetName(), ringOf(grown).Order(key)[0].GetName()
			if before != after && after != all[i].GetName() {
				t.Fatalf("key %s moved from %s to %s when %s grew", key, before, after, all[i].GetName())
			}
		}
	})
}

func TestOrderDependsOnNamesAndWeightsOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawMembers(t)
		shuffled := rapid.Permutation(all).Draw(t, "shuffled")
		other := make([]*commonv1.RingMember, len(shuffled))
		for i, m := range shuffled {
			other[i] = &commonv1.RingMember{Name: m.GetName(), Weight: m.GetWeight(), Id: "another disk", Host: "elsewhere"}
		}
		key := rapid.String().Draw(t, "key")
		if a, b := names(ringOf(all).Order(key)), names(ringOf(other).Order(key)); !slices.Equal(a, b) {
			t.Fatalf("%v and %v", a, b)
		}
	})
}

func TestOddRings(t *testing.T) {
	if order := New(nil).Order("k"); len(order) != 0 {
		t.Errorf("a nil ring has %v", order)
	}
	twice := New(&commonv1.Ring{Members: []*commonv1.RingMember{{Name: "a", Id: "1", Weight: 1}, {Name: "a", Id: "2", Weight: 9}}})
	if order := twice.Order("k"); len(order) != 1 || order[0].GetId() != "1" {
		t.Errorf("a duplicate name: %v", order)
	}
	weightless := ringOf(members(0, 0, 0))
	owners := map[string]bool{}
	for i := range 100 {
		owners[weightless.Order(fmt.Sprint(i))[0].GetName()] = true
	}
	if len(owners) != 3 {
		t.Errorf("of three members without weight, %d own anything", len(owners))
	}
	if got := New(&commonv1.Ring{StripeSize: 10}).Stripe(25); got != 2 {
		t.Errorf("byte 25 is in stripe %d of 10 bytes", got)
	}
	if got := New(&commonv1.Ring{}).Stripe(25); got != 0 {
		t.Errorf("whole objects have stripe %d", got)
	}
}

func BenchmarkOrder(b *testing.B) {
	r := ringOf(members(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
	for b.Loop() {
		r.Order("m1/train/part-00001.bin")
	}
}
