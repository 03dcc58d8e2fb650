/* What mypyc leaves to the general way though the interpreter has long a shorter one.
 *
 * Each place in the code remembers what it met last, guarded as the interpreter's own inline caches are: by the version of a type
 * (LOAD_ATTR_SLOT, STORE_ATTR_SLOT) or of a module's dictionary (LOAD_GLOBAL, LOAD_ATTR_MODULE). Whatever does not fit takes the
 * general way as before. Numbers of two digits are most of ours (instants, amounts): they are read and made in place.
 */
#ifndef FOREWARN_SLOTS_H
#define FOREWARN_SLOTS_H

#include <Python.h>

#if PY_VERSION_HEX < 0x030C0000 /* later ones keep integers otherwise, and dictionaries without a version */
#define FOREWARN_KNOWS_INSIDES
static Py_ssize_t forewarn_wide(PyObject *object, int *overflow);
#define CPyLong_AsSsize_tAndOverflow_ forewarn_wide
#endif
static void CPy_DecRef(PyObject *object) __attribute__((cold));
#include <CPy.h>
#undef CPyLong_AsSsize_tAndOverflow_
#include <structmember.h>

/* What only a way out by an error calls: the compiler then keeps the code of these ways, two thirds of all, apart from the rest. */
void CPy_AddTraceback(const char *file, const char *function, int line, PyObject *globals) __attribute__((cold));
void CPy_TypeErrorTraceback(const char *file, const char *function, int line, PyObject *globals, const char *expected,
                            PyObject *value) __attribute__((cold));
void CPy_TypeError(const char *expected, PyObject *value) __attribute__((cold));
void CPy_AttributeError(const char *file, const char *function, const char *class, const char *attribute, int line,
                        PyObject *globals) __attribute__((cold));
void CPyTagged_DecRef(CPyTagged number) __attribute__((cold));
void CPyError_OutOfMemory(void) __attribute__((cold));

/* ---- integers: of two digits, 2**30 to 2**60 -------------------------------------------------------------------------------- */

#ifdef FOREWARN_KNOWS_INSIDES
Py_ssize_t CPyLong_AsSsize_tAndOverflow_(PyObject *object, int *overflow);

static Py_ssize_t forewarn_wide(PyObject *object, int *overflow) {
    if (likely(Py_SIZE(object) == 2)) {
        const digit *digits = ((PyLongObject *)object)->ob_digit;
        *overflow = 0;
        return (Py_ssize_t)digits[0] | (Py_ssize_t)digits[1] << PyLong_SHIFT;
    }
    return CPyLong_AsSsize_tAndOverflow_(object, overflow);
}

static inline PyObject *forewarn_box(CPyTagged number) {
    if (likely(CPyTagged_CheckShort(number))) {
        Py_ssize_t value = CPyTagged_ShortAsSsize_t(number);
        if (value >> PyLong_SHIFT > 0 && value >> 2 * PyLong_SHIFT == 0) {
            PyLongObject *made = _PyLong_New(2);
            if (likely(made != NULL)) {
                made->ob_digit[0] = (digit)(value & PyLong_MASK);
                made->ob_digit[1] = (digit)(value >> PyLong_SHIFT);
                return (PyObject *)made;
            }
        }
    }
    return CPyTagged_StealAsObject(number);
}

#define CPyTagged_StealAsObject(number) forewarn_box(number)

/* ---- names of a module ------------------------------------------------------------------------------------------------------ */

typedef struct {
    uint64_t version; /* of the dictionary when it was asked: no other one ever has it, nor this one after any change */
    PyObject *name;   /* held */
    PyObject *value;  /* held by the dictionary as long as it has this version */
    unsigned int changes;
} forewarn_name;

#define FOREWARN_CHANGES_MAX 64 /* after so many, a place asks no module: there is nothing worth remembering */

static void forewarn_remember_name(forewarn_name *known, PyObject *names, PyObject *name, PyObject *value) {
    if (value != NULL && known->changes < FOREWARN_CHANGES_MAX && PyUnicode_CheckExact(name)) {
        known->changes++;
        Py_INCREF(name);
        Py_XSETREF(known->name, name);
        known->value = value;
        known->version = ((PyDictObject *)names)->ma_version_tag;
    }
}

static inline PyObject *forewarn_known_name(forewarn_name *known, PyObject *names, PyObject *name) {
    if (likely(((PyDictObject *)names)->ma_version_tag == known->version && name == known->name)) {
        Py_INCREF(known->value);
        return known->value;
    }
    return NULL;
}

static CPy_NOINLINE PyObject *forewarn_find_item(PyObject *names, PyObject *name, forewarn_name *known) {
    PyObject *found = CPyDict_GetItem(names, name);
    if (PyDict_CheckExact(names)) {
        forewarn_remember_name(known, names, name, found);
    }
    return found;
}

static inline PyObject *forewarn_item(PyObject *names, PyObject *name, forewarn_name *known) {
    PyObject *found = likely(PyDict_CheckExact(names)) ? forewarn_known_name(known, names, name) : NULL;
    return likely(found != NULL) ? found : forewarn_find_item(names, name, known);
}

#define CPyDict_GetItem(names, name) \
    ({ static forewarn_name name_here; forewarn_item((names), (name), &name_here); })
#endif

/* ---- attributes of records: where a type keeps them ------------------------------------------------------------------------- */

typedef struct {
    PyTypeObject *type;
    PyObject *name;       /* nearly always the same; `getattr` may be asked for another one */
    unsigned int version; /* of the type when it was looked at: another one after any change to it or its bases */
    Py_ssize_t offset;
#ifdef FOREWARN_KNOWS_INSIDES
    forewarn_name module; /* for a place that asks a module */
#endif
} forewarn_slot;

static void forewarn_remember_slot(forewarn_slot *slot, PyTypeObject *type, PyObject *name) {
    PyObject *descriptor = _PyType_Lookup(type, name); /* borrowed; gives the type a version */
    if (descriptor != NULL && PyUnicode_CheckExact(name) && PyUnicode_CHECK_INTERNED(name)
        && Py_IS_TYPE(descriptor, &PyMemberDescr_Type) && type->tp_version_tag != 0
        && PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG)) {
        PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
        if (member->type == T_OBJECT_EX && PyType_IsSubtype(type, PyDescr_TYPE(descriptor))) {
            slot->type = type;
            slot->name = name;
            slot->version = type->tp_version_tag;
            slot->offset = member->offset;
        }
    }
}

static inline PyObject **forewarn_place(PyObject *object, PyObject *name, forewarn_slot *slot) {
    PyTypeObject *type = Py_TYPE(object);
    return likely(type == slot->type && name == slot->name && type->tp_version_tag == slot->version
                  && PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG))
               ? (PyObject **)((char *)object + slot->offset)
               : NULL;
}

static CPy_NOINLINE PyObject *forewarn_find_slot(PyObject *object, PyObject *name, forewarn_slot *slot) {
    PyTypeObject *type = Py_TYPE(object);
#ifdef FOREWARN_KNOWS_INSIDES
    PyObject *names = PyModule_CheckExact(object) ? PyModule_GetDict(object) : NULL; /* borrowed */
    if (names != NULL) {
        PyObject *known = forewarn_known_name(&slot->module, names, name);
        if (known != NULL) {
            return known;
        }
        forewarn_remember_name(&slot->module, names, name, PyDict_GetItem(names, name));
    }
#endif
    PyObject *found = PyObject_GetAttr(object, name);
    if (found != NULL && type->tp_getattro == PyObject_GenericGetAttr) {
        forewarn_remember_slot(slot, type, name);
    }
    return found;
}

static inline PyObject *forewarn_get(PyObject *object, PyObject *name, forewarn_slot *slot) {
    PyObject **place = forewarn_place(object, name, slot);
    if (likely(place != NULL && *place != NULL)) {
        Py_INCREF(*place);
        return *place;
    }
    return forewarn_find_slot(object, name, slot);
}

#undef CPyObject_GetAttr
#define CPyObject_GetAttr(object, name) \
    ({ static forewarn_slot slot_here; forewarn_get((object), (name), &slot_here); })

/* A record is written to in the same way, where its own way is `Struct`'s: that of the first type above `object`. What the garbage
 * collector may have to begin to follow is left to it. */
static CPy_NOINLINE int forewarn_find_place(PyObject *object, PyObject *name, PyObject *value, forewarn_slot *slot) {
    PyTypeObject *type = Py_TYPE(object), *root = type;
    int failed = PyObject_SetAttr(object, name, value);
    while (root->tp_base != NULL && root->tp_base != &PyBaseObject_Type) {
        root = root->tp_base;
    }
    if (failed == 0 && root != type && strcmp(root->tp_name, "msgspec._core._StructMixin") == 0
        && type->tp_setattro == root->tp_setattro) {
        forewarn_remember_slot(slot, type, name);
    }
    return failed;
}

static inline int forewarn_set(PyObject *object, PyObject *name, PyObject *value, forewarn_slot *slot) {
    PyObject **place = forewarn_place(object, name, slot);
    if (likely(place != NULL && (!PyType_IS_GC(Py_TYPE(object)) || PyObject_GC_IsTracked(object)))) {
        PyObject *before = *place;
        Py_INCREF(value);
        *place = value;
        Py_XDECREF(before);
        return 0;
    }
    return forewarn_find_place(object, name, value, slot);
}

#define PyObject_SetAttr(object, name, value) \
    ({ static forewarn_slot slot_here; forewarn_set((object), (name), (value), &slot_here); })

/* ---- min, max and vars of the builtins: called through a tuple of their arguments otherwise ---------------------------------- */

static PyCFunction forewarn_min, forewarn_max, forewarn_vars;

static PyCFunction forewarn_builtin(const char *name) {
    PyObject *function = PyDict_GetItemString(PyEval_GetBuiltins(), name); /* borrowed */
    return function != NULL && PyCFunction_CheckExact(function) ? PyCFunction_GET_FUNCTION(function) : NULL;
}

static inline int forewarn_is_before(PyObject *one, PyObject *other, int comparison) {
    if (PyFloat_CheckExact(one) && PyFloat_CheckExact(other)) {
        double a = PyFloat_AS_DOUBLE(one), b = PyFloat_AS_DOUBLE(other);
        return comparison == Py_LT ? a < b : a > b;
    }
    return PyObject_RichCompareBool(one, other, comparison);
}

/* The first of those that none comes before; NULL without an exception where there is none. */
static PyObject *forewarn_first(PyObject *const *items, Py_ssize_t count, int comparison) {
    PyObject *first = NULL;
    for (Py_ssize_t place = 0; place < count; place++) {
        int is_before = first == NULL ? 1 : forewarn_is_before(items[place], first, comparison);
        if (unlikely(is_before < 0)) {
            return NULL;
        }
        first = is_before ? items[place] : first;
    }
    Py_XINCREF(first);
    return first;
}

static CPy_NOINLINE PyObject *forewarn_call_builtin(PyObject *function, PyObject *const *arguments, size_t flags) {
    Py_ssize_t count = PyVectorcall_NARGS(flags);
    PyCFunction what = PyCFunction_GET_FUNCTION(function);
    if (forewarn_min == NULL) {
        forewarn_min = forewarn_builtin("min");
        forewarn_max = forewarn_builtin("max");
        forewarn_vars = forewarn_builtin("vars");
    }
    if (what == forewarn_min || what == forewarn_max) {
        PyObject *only = count == 1 && PyTuple_CheckExact(arguments[0]) ? arguments[0] : NULL;
        PyObject *first = NULL;
        if (only != NULL || count > 1) {
            first = forewarn_first(only != NULL ? &PyTuple_GET_ITEM(only, 0) : arguments,
                                   only != NULL ? PyTuple_GET_SIZE(only) : count, what == forewarn_min ? Py_LT : Py_GT);
        } else if (count == 1 && PyList_CheckExact(arguments[0])) { /* as a tuple: a comparison might change it */
            only = PyList_AsTuple(arguments[0]);
            if (only == NULL) {
                return NULL;
            }
            first = forewarn_first(&PyTuple_GET_ITEM(only, 0), PyTuple_GET_SIZE(only), what == forewarn_min ? Py_LT : Py_GT);
            Py_DECREF(only);
        }
        if (first != NULL || PyErr_Occurred()) {
            return first;
        }
    } else if (what == forewarn_vars && count == 1 && Py_TYPE(arguments[0])->tp_dictoffset != 0
               && Py_TYPE(arguments[0])->tp_getattro == PyObject_GenericGetAttr) {
        return PyObject_GenericGetDict(arguments[0], NULL);
    }
    return PyObject_Vectorcall(function, arguments, flags, NULL);
}

/* A named tuple is made by a function of the interpreter, which `typing.NamedTuple` lets nobody replace: it only packs. */
typedef struct {
    PyTypeObject *type;
    unsigned int version;
    Py_ssize_t count;
} forewarn_tuple;

static CPy_NOINLINE PyObject *forewarn_find_tuple(PyObject *function, PyObject *const *arguments, size_t flags, PyObject *names,
                                                  forewarn_tuple *known) {
    PyTypeObject *type = (PyTypeObject *)function;
    PyObject *made = PyObject_Vectorcall(function, arguments, flags, names);
    static PyObject *new_name;
    if (new_name == NULL) {
        new_name = PyUnicode_InternFromString("__new__"); /* looked up, it gives the type a version */
    }
    if (made != NULL && names == NULL && type->tp_base == &PyTuple_Type && Py_TYPE(function) == &PyType_Type
        && PyDict_GetItemString(type->tp_dict, "_field_defaults") != NULL && Py_IS_TYPE(made, type)
        && PyTuple_GET_SIZE(made) == PyVectorcall_NARGS(flags) && _PyType_Lookup(type, new_name) != NULL
        && PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG)) {
        known->type = type;
        known->version = type->tp_version_tag;
        known->count = PyTuple_GET_SIZE(made);
    }
    return made;
}

static PyObject *forewarn_pack(PyTypeObject *type, PyObject *const *arguments, Py_ssize_t count) {
    PyObject *made = type->tp_alloc(type, count);
    for (Py_ssize_t place = 0; made != NULL && place < count; place++) {
        Py_INCREF(arguments[place]);
        PyTuple_SET_ITEM(made, place, arguments[place]);
    }
    return made;
}

static CPy_NOINLINE PyObject *forewarn_call(PyObject *function, PyObject *const *arguments, size_t flags, PyObject *names,
                                            forewarn_tuple *known) {
    if (PyCFunction_CheckExact(function)) {
        if (names == NULL && !(PyCFunction_GET_FLAGS(function) & (METH_FASTCALL | METH_O | METH_NOARGS))) {
            return forewarn_call_builtin(function, arguments, flags);
        }
    } else if (PyType_Check(function)) {
        PyTypeObject *type = (PyTypeObject *)function;
        if (type == known->type && type->tp_version_tag == known->version && names == NULL
            && PyVectorcall_NARGS(flags) == known->count && PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG)) {
            return forewarn_pack(type, arguments, known->count);
        }
        if (type->tp_base == &PyTuple_Type) {
            return forewarn_find_tuple(function, arguments, flags, names, known);
        }
    }
    return PyObject_Vectorcall(function, arguments, flags, names);
}

#define PyObject_Vectorcall(function, arguments, flags, names) \
    ({ static forewarn_tuple tuple_here; forewarn_call((function), (arguments), (flags), (names), &tuple_here); })

#endif
