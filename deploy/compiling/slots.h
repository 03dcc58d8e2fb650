/* Attributes of records, read where they stand.
 *
 * mypyc knows nothing of where a record (a msgspec Struct, made by the interpreter) keeps its fields, and asks for them by name.
 * Here each place that asks remembers the type it met last and where that type keeps the field: what the interpreter's own
 * LOAD_ATTR_SLOT does. Whatever is no plain slot is asked for by name as before.
 */
#ifndef FOREWARN_SLOTS_H
#define FOREWARN_SLOTS_H

#include <CPy.h>
#include <structmember.h>

typedef struct {
    PyTypeObject *type;
    PyObject *name;       /* nearly always the same; `getattr` may be asked for another one */
    unsigned int version; /* of the type when it was looked at: another one after any change to it or its bases */
    Py_ssize_t offset;
} forewarn_slot;

static CPy_NOINLINE PyObject *forewarn_find_slot(PyObject *object, PyObject *name, forewarn_slot *slot) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject *found = PyObject_GetAttr(object, name);
    if (found == NULL || type->tp_getattro != PyObject_GenericGetAttr) {
        return found;
    }
    PyObject *descriptor = _PyType_Lookup(type, name); /* borrowed; gives the type a version */
    if (descriptor != NULL && Py_IS_TYPE(descriptor, &PyMemberDescr_Type) && type->tp_version_tag != 0
        && PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG)) {
        PyMemberDef *member = ((PyMemberDescrObject *)descriptor)->d_member;
        if (member->type == T_OBJECT_EX && PyType_IsSubtype(type, PyDescr_TYPE(descriptor))) {
            slot->type = type;
            slot->name = name;
            slot->version = type->tp_version_tag;
            slot->offset = member->offset;
        }
    }
    return found;
}

static inline PyObject *forewarn_get(PyObject *object, PyObject *name, forewarn_slot *slot) {
    PyTypeObject *type = Py_TYPE(object);
    if (likely(type == slot->type && name == slot->name && type->tp_version_tag == slot->version
               && PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG))) {
        PyObject *value = *(PyObject **)((char *)object + slot->offset);
        if (likely(value != NULL)) {
            Py_INCREF(value);
            return value;
        }
    }
    return forewarn_find_slot(object, name, slot);
}

#undef CPyObject_GetAttr
#define CPyObject_GetAttr(object, name) \
    ({ static forewarn_slot slot_here; forewarn_get((object), (name), &slot_here); })

#endif
