package admission

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jindo-io/jindo/pkg/api/v1alpha1"
	"github.com/jindo-io/jindo/pkg/kube/admission/validation"
	"github.com/jindo-io/jindo/pkg/kube/client"
)

// object validates a Dataset, JindoRuntime or DataLoad.
func (s *Server) object(ctx context.Context, r *request) *admissionv1.AdmissionResponse {
	object, old, err := objects(r)
	if err != nil {
		s.metrics.validations.WithLabelValues(kindLabel(r), "refused", "Unreadable").Inc()
		return refusal(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
	}
	if foreign(old) || foreign(object) {
		s.metrics.validations.WithLabelValues(r.Kind.Kind, "allowed", "OtherRuntime").Inc()
		return allow()
	}
	var errs field.ErrorList
	var warnings []string
	if _, dataset := object.(*v1alpha1.Dataset); !dataset { // CheckChange validates Datasets
		errs, warnings = fieldFindings(old, object)
	}
	if runtime, is := object.(*v1alpha1.JindoRuntime); is {
		before, _ := old.(*v1alpha1.JindoRuntime)
		refused, notes := validation.CheckHostPaths(s.o.HostPaths, before, runtime)
		errs, warnings = append(errs, refused...), append(warnings, notes...)
	}
	related, err := validation.CheckChange(ctx, s.reader, old, object)
	warnings = append(warnings, related...)
	warnings = append(warnings, validation.DirectoryWarnings(ctx, s.reader, object)...)
	reason := "Valid"
	if len(errs) > 0 {
		reason = "Field"
	}
	if err != nil {
		if len(errs) == 0 {
			reason = "OtherObject"
		}
		errs = append(errs, fieldErrors(err)...)
	}
	if len(errs) == 0 {
		result := "allowed"
		if len(warnings) > 0 {
			result = "warned"
		}
		s.metrics.validations.WithLabelValues(r.Kind.Kind, result, reason).Inc()
		response := allow()
		response.Warnings = warnings
		return response
	}
	s.metrics.validations.WithLabelValues(r.Kind.Kind, "refused", reason).Inc()
	status := apierrors.NewInvalid(schema.GroupKind{Group: v1alpha1.Group, Kind: r.Kind.Kind}, object.GetName(), errs).Status()
	s.o.Logger.Info("rejected object", "kind", r.Kind.Kind, "namespace", r.Namespace, "name", object.GetName(), "reason", reason, "message", status.Message)
	return &admissionv1.AdmissionResponse{
		Result: &status, Warnings: warnings, AuditAnnotations: map[string]string{"reason": reason, "message": status.Message},
	}
}

// fieldFindings returns the errors and warnings about the fields of a JindoRuntime or
// DataLoad. Errors that old has too are warnings, so that an unrelated part of an invalid
// object can be changed; the controllers do not use it either.
func fieldFindings(old, object client.Object) (field.ErrorList, []string) {
	errs, warnings := v1alpha1.Validate(object)
	if old == nil || len(errs) == 0 {
		return errs, warnings
	}
	earlier := map[string]bool{}
	before, _ := v1alpha1.Validate(old)
	for _, err := range before {
		earlier[err.Error()] = true
	}
	var added field.ErrorList
	for _, err := range errs {
		if earlier[err.Error()] {
			warnings = append(warnings, err.Error())
			continue
		}
		added = append(added, err)
	}
	return added, warnings
}

// objects decodes the object of a request and the one that it replaces; old is
// nil if the object is created.
func objects(r *request) (object, old client.Object, err error) {
	create := map[string]func() client.Object{
		v1alpha1.DatasetKind:      func() client.Object { return &v1alpha1.Dataset{} },
		v1alpha1.JindoRuntimeKind: func() client.Object { return &v1alpha1.JindoRuntime{} },
		v1alpha1.DataLoadKind:     func() client.Object { return &v1alpha1.DataLoad{} },
	}[r.Kind.Kind]
	if create == nil || r.Kind.Group != v1alpha1.Group || r.Kind.Version != v1alpha1.Version || r.SubResource != "" ||
		r.Operation != admissionv1.Create && r.Operation != admissionv1.Update {
		return nil, nil, errors.New(misdirected(r, "creations and updates of Datasets, JindoRuntimes and DataLoads").Result.Message)
	}
	object = create()
	if err := decode(r.Object, object); err != nil {
		return nil, nil, err
	}
	object.SetNamespace(r.Namespace)
	if r.Operation == admissionv1.Create {
		return object, nil, nil
	}
	old = create()
	if err := decode(r.OldObject, old); err != nil {
		return nil, nil, fmt.Errorf("decode the old object: %w", err)
	}
	return object, old, nil
}

// kindLabel returns the kind of a request as a metric label. Unknown kinds have
// one label, so that requests cannot create arbitrarily many time series.
func kindLabel(r *request) string {
	if slices.Contains([]string{v1alpha1.DatasetKind, v1alpha1.JindoRuntimeKind, v1alpha1.DataLoadKind}, r.Kind.Kind) {
		return r.Kind.Kind
	}
	return "other"
}

// foreign reports whether an object is a Dataset that a runtime of another type
// serves.
func foreign(object client.Object) bool {
	dataset, is := object.(*v1alpha1.Dataset)
	return is && slices.ContainsFunc(slices.Concat(dataset.Spec.Runtimes, dataset.Status.Runtimes), func(r v1alpha1.Runtime) bool {
		return r.Type != "" && r.Type != v1alpha1.JindoRuntimeType
	})
}

func fieldErrors(err error) field.ErrorList {
	var all field.ErrorList
	var several utilerrors.Aggregate
	if !errors.As(err, &several) {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	for _, one := range several.Errors() {
		var typed *field.Error
		if !errors.As(one, &typed) {
			typed = field.InternalError(nil, one)
		}
		all = append(all, typed)
	}
	return all
}
