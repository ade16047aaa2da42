package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"syscall"
	"time"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/jindo-io/jindo/pkg/kube/admission"
	"github.com/jindo-io/jindo/pkg/kube/admission/lookup"
	"github.com/jindo-io/jindo/pkg/kube/client"
	"github.com/jindo-io/jindo/pkg/kube/names"
)

const (
	admissionRounds = 9
	admissionImage  = "docker.io/jindo-io/jindo:v1"
)

// admitted measures the admission of pods, compared with a handler of the common
// kind, which decodes the pod, changes it, encodes it and computes the difference.
// Both read the same objects from memory and add the same container and volume, in
// alternating rounds.
func admitted(ctx context.Context, _, _ string) (table, error) {
	t := table{
		Title: "Admission of pods",
		Notes: fmt.Sprintf("HTTP handlers, called in process by one goroutine, %d rounds in turns; \"diff\" decodes the pod into its Go type, adds the same sidecar, encodes it and compares (gomodules.xyz/jsonpatch).", admissionRounds),
	}
	objects := newMemoryReader()
	sidecar, err := plannedSidecar()
	if err != nil {
		return table{}, err
	}
	handlers := []struct {
		name    string
		path    string
		handler http.Handler
	}{
		{"jindo", names.WebhookPath, admission.NewServer(admission.ServerOptions{Cached: objects, Live: objects, Image: admissionImage}).Handler()},
		{"diff", "/", &diffing{objects, sidecar}},
	}
	for _, containers := range []int{1, 10, 100} {
		review, err := podReview(containers)
		if err != nil {
			return table{}, err
		}
		figures := map[string][]round{}
		for range admissionRounds {
			for _, h := range handlers {
				one, err := ask(ctx, h.handler, h.path, review, max(20, 600/containers))
				if err != nil {
					return table{}, fmt.Errorf("%s, %d containers: %w", h.name, containers, err)
				}
				figures[h.name] = append(figures[h.name], one)
			}
		}
		t.Series = append(t.Series, admissionSeries(containers, figures)...)
	}
	return t, nil
}

// round measures a number of requests.
type round struct{ perSecond, perCPUSecond, p50, p99, allocations, patch float64 }

func admissionSeries(containers int, figures map[string][]round) []series {
	var all []series
	for _, figure := range []struct {
		what, unit string
		of         func(round) float64
	}{
		{"throughput", "1/s", func(r round) float64 { return r.perSecond }},
		{"throughput of a processor", "1/CPU s", func(r round) float64 { return r.perCPUSecond }},
		{"p50", "µs", func(r round) float64 { return r.p50 }},
		{"p99", "µs", func(r round) float64 { return r.p99 }},
		{"allocations", "1/request", func(r round) float64 { return r.allocations }},
		{"patch", "bytes", func(r round) float64 { return r.patch }},
	} {
		what := func(name string) string { return fmt.Sprintf("%s, %d containers, %s", name, containers, figure.what) }
		for _, name := range []string{"diff", "jindo"} {
			s := series{What: what(name), Unit: figure.unit}
			if name == "jindo" {
				s.Limit = what("diff")
			}
			for _, r := range figures[name] {
				s.Figures = append(s.Figures, figure.of(r))
			}
			all = append(all, s)
		}
	}
	return all
}

func ask(ctx context.Context, h http.Handler, path string, review []byte, times int) (round, error) {
	var before, after runtime.MemStats
	took := make([]float64, times)
	patch := 0
	runtime.ReadMemStats(&before)
	worked := processorTime()
	for i := range took {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(review))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		begin := time.Now()
		h.ServeHTTP(w, r)
		took[i] = time.Since(begin).Seconds()
		if i > 0 {
			continue
		}
		var answer admissionv1.AdmissionReview
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil || !answer.Response.Allowed || len(answer.Response.Patch) == 0 {
			return round{}, fmt.Errorf("the response has no patch: %s (%w)", w.Body, err)
		}
		patch = len(answer.Response.Patch)
	}
	worked = processorTime() - worked
	runtime.ReadMemStats(&after)
	total := 0.0
	for _, seconds := range took {
		total += seconds
	}
	return round{
		perSecond: float64(times) / total, perCPUSecond: float64(times) / worked, p50: quantile(took, 0.5) * 1e6, p99: quantile(took, 0.99) * 1e6,
		allocations: float64(after.Mallocs-before.Mallocs) / float64(times), patch: float64(patch),
	}, nil
}

// processorTime returns the processor time of this process in seconds, which the
// load of other processes does not affect.
func processorTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// podReview returns the AdmissionReview of a pod with a number of containers.
func podReview(containers int) ([]byte, error) {
	pod := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "train-", Namespace: "vision", Labels: map[string]string{"app": "train", names.LabelInject: "true"}},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{
			{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "imagenet"}}},
		}},
	}
	for i := range containers {
		c := corev1.Container{
			Name: fmt.Sprintf("c%d", i), Image: "registry.example.com/train:1", Command: []string{"python", "train.py"},
			Args:                   []string{"--epochs=90", "--data=/data", "--batch-size=256"},
			VolumeMounts:           []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile, ImagePullPolicy: corev1.PullIfNotPresent,
		}
		for j := range 8 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%d", j), Value: "a value of some length"})
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	raw, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encode a pod: %w", err)
	}
	kind := metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}
	resource := metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	review, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "705ab4f5-6393-11e8-b7cc-42010a800002", Kind: kind, Resource: resource, RequestKind: &kind, RequestResource: &resource,
			Namespace: "vision", Operation: admissionv1.Create, Object: kruntime.RawExtension{Raw: raw},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode a review: %w", err)
	}
	return review, nil
}

// diffing is the handler of the common kind.
type diffing struct {
	objects client.Reader
	sidecar *sidecarOf
}

func (d *diffing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := d.answer(w, r); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (d *diffing) answer(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return err
	}
	var pod corev1.Pod
	if err := json.Unmarshal(review.Request.Object.Raw, &pod); err != nil {
		return err
	}
	var claims []string
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			claims = append(claims, v.PersistentVolumeClaim.ClaimName)
		}
	}
	datasets, err := lookup.Find(r.Context(), d.objects, d.objects, review.Request.Namespace, claims)
	if err != nil || len(datasets) == 0 {
		return errors.Join(err, errors.New("no dataset"))
	}
	changed := pod.DeepCopy()
	d.sidecar.add(changed)
	after, err := json.Marshal(changed)
	if err != nil {
		return err
	}
	operations, err := jsonpatch.CreatePatch(review.Request.Object.Raw, after)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(operations)
	if err != nil {
		return err
	}
	kind := admissionv1.PatchTypeJSONPatch
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, Patch: patch, PatchType: &kind}
	review.Request = nil
	return json.NewEncoder(w).Encode(review)
}

// add adds the same container and volume as the other handler.
func (s *sidecarOf) add(pod *corev1.Pod) {
	pod.Spec.InitContainers = slices.Insert(pod.Spec.InitContainers, 0, *s.container.DeepCopy())
	pod.Spec.Volumes = append(pod.Spec.Volumes, *s.volume.DeepCopy())
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	maps.Copy(pod.Annotations, s.annotations)
}
