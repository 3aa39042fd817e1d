// Connects our button for a security key to the script of django-allauth, and shows a message if the key did not answer.
// Enter in the name field asks for the key, as the button does; the library submits the form, which fires no event.
document.addEventListener("DOMContentLoaded", () => {
  const button = document.querySelector("[data-security-key]");
  if (!button) return;
  const ids = { [button.dataset.securityKey === "addForm" ? "add" : "authenticate"]: button.id, data: "js_data" };
  ids.credential = button.form.querySelector("[name=credential]").id;
  const credential = document.getElementById(ids.credential);
  button.hidden = false;
  button.form.addEventListener("submit", (event) => {
    if (credential.value && credential.value !== "null") return; // "null" is how an empty field of JSON is written
    event.preventDefault();
    button.click();
  });
  window.allauth.webauthn.forms[button.dataset.securityKey]({ ids });
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    document.querySelector("[data-security-key-failed]").hidden = false;
  });
});
