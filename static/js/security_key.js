// Joins our button for a security key to the script of django-allauth, and says so where the key did not answer.
document.addEventListener("DOMContentLoaded", () => {
  const button = document.querySelector("[data-security-key]");
  if (!button) return;
  const ids = { [button.dataset.securityKey === "addForm" ? "add" : "authenticate"]: button.id, data: "js_data" };
  ids.credential = button.form.querySelector("[name=credential]").id;
  window.allauth.webauthn.forms[button.dataset.securityKey]({ ids });
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    document.querySelector("[data-security-key-failed]").hidden = false;
  });
});
